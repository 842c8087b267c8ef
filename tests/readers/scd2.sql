-- dim_customer's SCD 2 rows from the staging history, in Spark SQL: the rules of crates/curated/src/scd.rs.
-- In: the view `customer` (staging rows, no change twice). Out: the dimension without its unknown and inferred members.
WITH ordered AS (
    SELECT *,
        CASE _op WHEN 'd' THEN 0 WHEN 'r' THEN 1 WHEN 'c' THEN 2 ELSE 3 END AS place,
        struct(country, segment, marital_status) AS tracked
    FROM customer
),
-- A change takes effect no earlier than the one before it: clocks run backwards, the log does not.
timed AS (
    SELECT *,
        max(_source_ts) OVER (PARTITION BY customer_id ORDER BY _order_key, place
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS at
    FROM ordered
),
-- Of the changes at one time the last is the state from then on; nothing happens at the end of time.
states AS (
    SELECT * FROM (
        SELECT *, row_number() OVER (PARTITION BY customer_id, at ORDER BY _order_key DESC, place DESC) AS nth
        FROM timed
    )
    WHERE nth = 1 AND at < TIMESTAMP '9999-12-31 00:00:00'
),
compared AS (
    SELECT *,
        lag(_op) OVER (PARTITION BY customer_id ORDER BY at) AS op_before,
        lag(tracked) OVER (PARTITION BY customer_id ORDER BY at) AS tracked_before
    FROM states
),
edges AS (
    SELECT * FROM compared
    WHERE CASE
        WHEN coalesce(op_before, 'd') = 'd' THEN _op <> 'd'
        ELSE _op = 'd' OR NOT (tracked <=> tracked_before)
    END
),
versions AS (
    SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY effective_from) AS number
    FROM (
        SELECT customer_id, _op, at AS effective_from, country, segment, marital_status,
            lead(at, 1, TIMESTAMP '9999-12-31 00:00:00') OVER (PARTITION BY customer_id ORDER BY at) AS effective_to
        FROM edges
    )
    WHERE _op <> 'd'
),
-- Type 1 columns hold the newest values on every version.
newest AS (
    SELECT * FROM (
        SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY _order_key DESC, place DESC) AS nth
        FROM ordered
        WHERE _op <> 'd'
    )
    WHERE nth = 1
),
-- The surrogate key's hash, byte by byte: crates/core/src/surrogate.rs and value.rs.
hashed AS (
    SELECT *,
        sha2(concat(
            encode('dim_customer', 'UTF-8'), X'00',
            unhex(substr(sha2(concat(
                unhex(lpad(hex(CAST(octet_length(CAST(customer_id AS STRING)) AS BIGINT)), 16, '0')),
                encode(CAST(customer_id AS STRING), 'UTF-8')
            ), 256), 1, 32)),
            unhex(lpad(hex(CASE
                WHEN number = 1 THEN 0L
                WHEN unix_micros(effective_from) = 0 THEN -9223372036854775807L - 1L
                ELSE unix_micros(effective_from)
            END), 16, '0'))
        ), 256) AS digest
    FROM versions
)
SELECT
    (CAST(CAST(conv(substr(h.digest, 1, 16), 16, 10) AS DECIMAL(20, 0)) % 9223372036854775808BD AS BIGINT) & -65536L)
        | (xxhash64(CAST(h.customer_id AS BIGINT)) & 65535L) AS customer_key,
    h.customer_id, n.first_name, n.last_name, n.email, n.street, n.city, h.country, n.birth_date, h.segment,
    h.marital_status, h.effective_from, h.effective_to,
    h.effective_to = TIMESTAMP '9999-12-31 00:00:00' AS is_current
FROM hashed AS h JOIN newest AS n ON n.customer_id = h.customer_id
