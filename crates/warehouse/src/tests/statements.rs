//! What is taken, what is refused, and what it means.

use super::{Fixture, failure, rows};

const TABLES: &str = "CREATE TABLE t (id INTEGER NOT NULL ENCODE az64 DISTKEY, name VARCHAR(10), amount DECIMAL(12,3), \
     at TIMESTAMP, PRIMARY KEY (id)) SORTKEY(id);
     CREATE TABLE s (id INTEGER, name VARCHAR(10), amount DECIMAL(12,3), at TIMESTAMP);
     CREATE TABLE j (id BIGINT, data SUPER);
     INSERT INTO t VALUES (1, 'one', 1.500, '2024-01-31 13:14:15'), (2, 'two', 2.250, '2024-02-29'), (3, NULL, NULL, NULL);
     INSERT INTO s VALUES (1, 'uno', 1, NULL), (4, 'four', 4, NULL);
     INSERT INTO j SELECT 1, JSON_PARSE('{\"a\":{\"b\":[{\"c\":5},{\"c\":\"x\"}],\"n\":null,\"d\":\"1.250\"},\"op\":\"c\"}')";

#[test]
fn redshift_statements_give_redshift_results() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run(TABLES).unwrap();
    for (text, expected) in [
        ("SELECT 1/2, 7/2, -7/2, 7%4", "0|3|-3|3"),
        ("SELECT 7.0/2", "3.5"),
        ("SELECT COUNT(*), SUM(amount), MAX(name) FROM t", "3|3.750|two"),
        ("SELECT NVL(name, 'none') FROM t WHERE id = 3", "none"),
        ("SELECT NVL2(name, 'y', 'n') FROM t ORDER BY id DESC LIMIT 1", "n"),
        ("SELECT DECODE(id, 1, 'a', 2, 'b', 'z') FROM t WHERE id = 2", "b"),
        ("SELECT DECODE(name, NULL, 'null!', 'other') FROM t WHERE id = 3", "null!"),
        ("SELECT DATEADD(day, 1, '2024-02-28'::date)", "2024-02-29 00:00:00"),
        ("SELECT DATEADD(month, -1, at) FROM t WHERE id = 2", "2024-01-29 00:00:00"),
        ("SELECT DATEDIFF(day, '2024-01-31', at) FROM t WHERE id = 2", "29"),
        ("SELECT DATEDIFF('hour', at, DATEADD(hour, 5, at)) FROM t WHERE id = 1", "5"),
        ("SELECT DATE_PART(year, at), EXTRACT(month FROM at) FROM t WHERE id = 1", "2024|1"),
        ("SELECT DATE_PART(dow, '2024-01-07'::date)", "0"),
        ("SELECT DATE_TRUNC('month', at) FROM t WHERE id = 1", "2024-01-01 00:00:00"),
        ("SELECT TRUNC(at) FROM t WHERE id = 1", "2024-01-31"),
        ("SELECT TRUNC(1.789, 1)", "1.7"),
        ("SELECT ADD_MONTHS('2024-01-31'::date, 1)", "2024-02-29 00:00:00"),
        ("SELECT TO_CHAR(at, 'YYYY-MM-DD HH24:MI:SS') FROM t WHERE id = 1", "2024-01-31 13:14:15"),
        ("SELECT TO_DATE('31.01.2024', 'DD.MM.YYYY')", "2024-01-31"),
        ("SELECT CONVERT_TIMEZONE('Europe/Berlin', '2024-07-01 12:00:00')", "2024-07-01 14:00:00"),
        ("SELECT CONVERT_TIMEZONE('Europe/Berlin', 'UTC', '2024-07-01 12:00:00'::timestamp)", "2024-07-01 10:00:00"),
        ("SELECT LISTAGG(name, ',') WITHIN GROUP (ORDER BY id DESC) FROM t", "two,one"),
        ("SELECT CHARINDEX('w', 'twowords'), LEN('abc'), STRPOS('abc', 'c')", "2|3|3"),
        ("SELECT OCTET_LENGTH('é'), LEN('é')", "2|1"),
        ("SELECT 'a' || NULL, CONCAT('a', 'b')", "-|ab"),
        ("SELECT STRTOL('1f', 16)", "31"),
        ("SELECT FROM_VARBYTE(TO_VARBYTE('ABCD', 'hex'), 'hex')", "abcd"),
        ("SELECT TOP 1 id FROM t ORDER BY id DESC", "3"),
        ("SELECT id FROM t ORDER BY id LIMIT 1 OFFSET 1", "2"),
        ("SELECT data.a.b[0].c::int + 1 FROM j", "6"),
        ("SELECT j.data.a.b[1].c::varchar(10) FROM j", "x"),
        ("SELECT data.a.b[1].c::int IS NULL, data.a.n::varchar IS NULL FROM j", "t|t"),
        ("SELECT data.a.d::varchar(10)::decimal(12,3) FROM j", "1.250"),
        ("SELECT data.op FROM j", "\"c\""),
        ("SELECT JSON_SERIALIZE(data.a.b[0]) FROM j", "{\"c\":5}"),
        ("SELECT JSON_EXTRACT_PATH_TEXT('{\"a\":{\"b\":1}}', 'a', 'b')", "1"),
        ("SELECT p.x::int FROM (SELECT JSON_PARSE('{\"x\":7}') AS p) AS q", "7"),
        ("SELECT id FROM t WHERE name ~ '^t'", "2"),
        ("SELECT id FROM t WHERE name ILIKE 'ON%'", "1"),
        ("SELECT 'longer'::varchar(4)", "long"),
        ("SELECT id FROM t MINUS SELECT id FROM s ORDER BY id", "2;3"),
        (
            "SELECT id, ROW_NUMBER() OVER (PARTITION BY 1 ORDER BY id DESC) FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY id) = 1",
            "1|3",
        ),
        ("WITH x AS (SELECT id FROM t) SELECT COUNT(*) FROM x JOIN s USING (id)", "1"),
        (
            "SELECT \"column\", type, encoding, distkey, sortkey FROM pg_table_def WHERE tablename = 't' AND \"column\" = 'id'",
            "id|integer|az64|t|1",
        ),
        ("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1", "j;s;t"),
        ("SELECT CASE WHEN amount > 2 THEN 'big' ELSE 'small' END FROM t WHERE id = 2", "big"),
        ("SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()", "dev|public"),
        ("SHOW server_version", "8.0.2"),
    ] {
        assert_eq!(rows(&mut session, text).join(";"), expected, "{text}");
    }
    assert_eq!(rows(&mut session, "SELECT COUNT(*) FROM t WHERE at < GETDATE() AND at < SYSDATE"), ["2"]);
}

#[test]
fn columns_without_a_name_are_called_as_redshift_calls_them() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run(TABLES).unwrap();
    let text = "SELECT COUNT(*), 1, id::bigint, UPPER(name), CASE WHEN 1=1 THEN 2 END, Id AS \"Mixed\" FROM t GROUP BY id, name";
    let outcome = session.run(text).unwrap().remove(0);
    let names: Vec<_> = outcome.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["count", "?column?", "id", "upper", "case", "mixed"]);
}

#[test]
fn what_redshift_refuses_or_the_double_lacks_is_refused_by_name() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run(TABLES).unwrap();
    let refused: Vec<String> = [
        "CREATE INDEX i ON t (id)",
        "CREATE UNIQUE INDEX i ON t (id)",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
        "INSERT INTO t VALUES (1) RETURNING id",
        "CREATE TABLE x (id INT, CHECK (id > 0))",
        "CREATE TABLE x (id INT IDENTITY(1,1))",
        "CREATE TABLE x (id UUID)",
        "CREATE TABLE x (id INT ENCODE nothing)",
        "CREATE TABLE x (d SUPER) SORTKEY(d)",
        "CREATE TABLE x (LIKE t)",
        "SELECT DISTINCT ON (id) id FROM t",
        "SELECT * FROM read_parquet('x.parquet')",
        "SELECT * FROM \"x.parquet\"",
        "SELECT duckdb_version()",
        "SELECT * FROM weir_catalog.tables",
        "SELECT id FROM t FOR UPDATE",
        "SELECT COUNT(*) FILTER (WHERE id > 1) FROM t",
        "SELECT list_value(1, 2)",
        "SELECT months_between(at, at) FROM t",
        "SELECT * FROM t, LATERAL (SELECT 1) AS x",
        "SELECT name SIMILAR TO 'a' FROM t",
        "SELECT to_char(1.5, '99.9')",
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name",
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.id > 1 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name, s.amount, s.at)",
        "MERGE INTO t USING s ON t.id > s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name, s.amount, s.at)",
        "MERGE INTO t AS x USING s ON x.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name, s.amount, s.at)",
        "MERGE INTO t USING s ON t.id = s.id REMOVE DUPLICATES",
        "COPY t FROM 'x' IAM_ROLE default FORMAT AS PARQUET MAXERROR 5",
        "COPY t FROM 'x' IAM_ROLE default CSV",
        "COPY t FROM 'x' FORMAT AS PARQUET",
        "COPY t FROM 's3://b/x' IAM_ROLE default FORMAT AS PARQUET",
        "UNLOAD ('select 1') TO 's3://b/x' IAM_ROLE default",
        "GRANT SELECT ON t TO x",
        "LOCK t",
        "SAVEPOINT a",
        "PRAGMA version",
        "ATTACH 'x'",
        "SET memory_limit TO '1GB'",
        "SET timezone TO 'Europe/Berlin'",
        "CREATE OR REPLACE TABLE x (id INT)",
        "CREATE EXTERNAL SCHEMA x FROM KINESIS IAM_ROLE default",
        "CREATE MATERIALIZED VIEW v AS SELECT COUNT(*) FROM kafka.\"a.b\"",
        "CREATE MATERIALIZED VIEW v AS SELECT kafka_partition, kafka_offset, f_x(kafka_value) FROM kafka.\"a.b\"",
        "CREATE MATERIALIZED VIEW v AS SELECT kafka_partition, kafka_offset, kafka_key::varchar FROM kafka.\"a.b\"",
        "CREATE MATERIALIZED VIEW v AS SELECT a.kafka_partition, a.kafka_offset FROM kafka.\"a.b\" a JOIN t ON true",
        "CREATE MATERIALIZED VIEW v AS SELECT kafka_partition, kafka_offset FROM kafka.\"Upper.Case\"",
        "CREATE EXTERNAL FUNCTION f_y(varchar) RETURNS varchar STABLE LAMBDA 'l' IAM_ROLE default",
        "CREATE EXTERNAL FUNCTION f_cdc_avro_to_json(varchar) RETURNS varchar IMMUTABLE LAMBDA 'l' IAM_ROLE default",
        "REFRESH MATERIALIZED VIEW nothing",
        "EXPLAIN ANALYZE SELECT 1",
        "VACUUM nonsense more",
    ]
    .iter()
    .map(|text| format!("{text}\n    {}", failure(&mut session, text)))
    .collect();
    insta::assert_snapshot!(refused.join("\n"));
}

#[test]
fn a_text_longer_than_its_column_is_refused_in_bytes() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE t (a VARCHAR(4))").unwrap();
    session.run("INSERT INTO t VALUES ('abcd'), ('éé')").unwrap();
    assert!(failure(&mut session, "INSERT INTO t VALUES ('ééé')").starts_with("22001"));
}

#[test]
fn division_by_zero_is_an_error_and_not_null() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run("CREATE TABLE z (a INT, b DECIMAL(10,2)); INSERT INTO z VALUES (0, 0)").unwrap();
    for text in
        ["SELECT 1/0", "SELECT 1/a FROM z", "SELECT 1.5/b FROM z", "SELECT 5 % a FROM z", "SELECT MOD(5, a) FROM z"]
    {
        assert_eq!(failure(&mut session, text), "22012 division by zero", "{text}");
    }
    assert_eq!(rows(&mut session, "SELECT 1/NULLIF(a, 0) FROM z"), ["-"]);
    assert_eq!(rows(&mut session, "SELECT CASE WHEN a = 0 THEN 0 ELSE 1/a END FROM z"), ["0"]);
}

#[test]
fn redshift_s_own_properties_of_a_table_are_kept() {
    let fixture = Fixture::new();
    let mut session = fixture.session();
    session.run(TABLES).unwrap();
    session.run("CREATE TABLE k (a INT, b INT) DISTSTYLE ALL COMPOUND SORTKEY(b, a)").unwrap();
    let text = "SELECT \"table\", diststyle, sortkey1, sortkey_num FROM svv_table_info WHERE \"table\" IN ('t', 'k') ORDER BY 1";
    assert_eq!(rows(&mut session, text), ["k|ALL|b|2", "t|KEY(id)|id|1"]);
    session.run("DROP TABLE k; CREATE TABLE k (a INT)").unwrap();
    assert_eq!(rows(&mut session, "SELECT diststyle FROM svv_table_info WHERE \"table\" = 'k'"), ["AUTO"]);
}
