use super::*;

/// A statement, and what Redshift refuses in it: rule, and where it stands.
const REFUSED: &[(&str, &str)] = &[
    ("CREATE INDEX i ON t (id)", "index 1:1"),
    ("CREATE TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION f()", "trigger 1:1"),
    ("CREATE SEQUENCE s", "sequence 1:1"),
    ("CREATE TYPE mood AS ENUM ('sad')", "own-type 1:1"),
    ("CREATE EXTENSION hstore", "unknown-command 1:1"),
    ("ATTACH 'x'", "unknown-command 1:1"),
    ("BEGIN; SAVEPOINT a", "savepoint 1:8"),
    ("BEGIN; ROLLBACK TO a", "savepoint 1:8"),
    ("BEGIN; VACUUM t; COMMIT", "vacuum-in-a-transaction 1:8"),
    ("EXPLAIN ANALYZE SELECT 1", "explain-analyze 1:1"),
    ("CREATE OR REPLACE TABLE x (id INT)", "or-replace-table 1:1"),
    ("CREATE TABLE x (id INT, CHECK (id > 0))", "check 1:32"),
    ("CREATE TABLE x (id INT CHECK (id > 0))", "check 1:31"),
    ("CREATE TABLE x (id INT, d SUPER) SORTKEY(d)", "super-key 1:25"),
    ("CREATE TABLE x (d SUPER DISTKEY)", "super-key 1:17"),
    ("CREATE TABLE x (id UUID)", "data-type 1:17"),
    ("CREATE TABLE x (ids INT[])", "data-type 1:17"),
    ("CREATE TABLE x (id INT IDENTITY(1,1), doc JSONB)", "data-type 1:39"),
    ("CREATE TABLE x (name VARCHAR(65536))", "type-size 1:17"),
    ("CREATE TABLE x (amount DECIMAL(39,2))", "type-size 1:17"),
    ("CREATE TABLE x (id INT ENCODE nothing)", "encoding 1:24"),
    ("CREATE TABLE x (xmin INT)", "system-column 1:17"),
    ("CREATE TABLE x (tag VARCHAR(9))", "reserved-word 1:17"),
    ("SELECT a,\n  offline FROM t", "reserved-word 2:3"),
    ("ALTER TABLE t ADD COLUMN a INT, ADD COLUMN b INT", "one-alteration 1:44"),
    ("TRUNCATE t, s", "one-truncate 1:13"),
    ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "on-conflict 1:26"),
    ("INSERT INTO t VALUES (1) RETURNING id", "returning 1:26"),
    ("DELETE FROM t WHERE id = 1 RETURNING id", "returning 1:28"),
    ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name", "merge-clauses 1:37"),
    (
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.id > 1 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id)",
        "merge-clauses 1:37",
    ),
    (
        "MERGE INTO t USING s ON t.id > s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id)",
        "merge-condition 1:25",
    ),
    (
        "MERGE INTO t AS x USING s ON x.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id)",
        "merge-target 1:17",
    ),
    (
        "MERGE INTO t USING (WITH a AS (SELECT 1 AS id) SELECT id FROM a) AS s ON t.id = s.id \
         WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id)",
        "merge-source 1:21",
    ),
    ("SELECT id FROM t FOR UPDATE", "for-update 1:18"),
    ("SELECT DISTINCT ON (id) id FROM t", "distinct-on 1:1"),
    ("SELECT * FROM t, LATERAL (SELECT 1) AS x", "lateral 1:18"),
    ("SELECT * FROM read_parquet('x.parquet')", "table-function 1:15"),
    ("SELECT * FROM (VALUES (1), (2)) AS x", "constant-table 1:23"),
    ("SELECT ARRAY[1, 2]", "array 1:14"),
    ("SELECT COUNT(*) FILTER (WHERE id > 1) FROM t", "filter 1:17"),
    ("SELECT id FROM t WHERE a IS DISTINCT FROM b", "distinct-from 1:24"),
    ("SELECT string_agg(name, ',') FROM t", "function 1:8"),
    ("SELECT a::uuid FROM t", "data-type 1:8"),
    ("COPY t FROM 's3://b/x' IAM_ROLE default FORMAT AS PARQUET MAXERROR 5", "copy-option 1:59"),
    ("COPY t FROM 's3://b/x' IAM_ROLE default FORMAT AS PARQUET REGION 'eu-west-1'", "copy-option 1:59"),
    ("COPY t FROM 's3://b/x' FORMAT AS PARQUET", "copy-credentials 1:1"),
    ("CREATE EXTERNAL SCHEMA k FROM KAFKA AUTHENTICATION iam URI 'b:9098'", "stream-role 1:37"),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT a.kafka_partition, a.kafka_offset FROM k.\"a.b\" a JOIN t ON true",
        "stream-view 1:92",
    ),
    ("CREATE MATERIALIZED VIEW v AS SELECT DISTINCT kafka_partition, kafka_offset FROM k.\"a.b\"", "stream-view 1:31"),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT kafka_offset FROM k.\"a.b\" WHERE kafka_offset > (SELECT 1)",
        "stream-view 1:86",
    ),
    (
        "CREATE MATERIALIZED VIEW v AS SELECT kafka_partition, f_decode(kafka_value) FROM k.\"a.b\"",
        "stream-function 1:55",
    ),
    ("CREATE MATERIALIZED VIEW v AS SELECT kafka_offset FROM k.\"Upper.Case\"", "stream-topic 1:56"),
    ("CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT 1", "or-replace-materialized-view 1:1"),
    ("CREATE EXTERNAL FUNCTION f_x(varchar) RETURNS super STABLE LAMBDA 'l' IAM_ROLE default", "lambda-type 1:47"),
    (
        "CREATE EXTERNAL FUNCTION f_x(varchar) RETURNS varchar IMMUTABLE LAMBDA 'l' IAM_ROLE default",
        "lambda-immutable 1:55",
    ),
];

#[test]
fn what_redshift_refuses_is_found_with_its_reason_and_its_place() {
    let differs: Vec<String> = REFUSED
        .iter()
        .filter_map(|(text, wanted)| {
            let found = said(text);
            (found != [*wanted]).then(|| format!("{text}\n    found {found:?}, not {wanted}"))
        })
        .collect();
    assert!(differs.is_empty(), "{}", differs.join("\n"));
}

/// Rule and place of each finding.
fn said(text: &str) -> Vec<String> {
    let found = lint(text).unwrap();
    found.iter().map(|found| format!("{} {}:{}", found.rule.name, found.line, found.column)).collect()
}

#[test]
fn every_rule_has_a_statement_that_breaks_it() {
    let broken = |rule: &Rule| REFUSED.iter().any(|(_, wanted)| wanted.split(' ').next() == Some(rule.name));
    let unbroken: Vec<&str> = rule::ALL.iter().filter(|rule| !broken(rule)).map(|rule| rule.name).collect();
    assert_eq!(unbroken, [""; 0]);
}

#[test]
fn all_findings_of_a_text_are_told_in_its_order() {
    let found = said("SELECT 1;\nCREATE TABLE x (id UUID, tag INT);\n-- it's\nSAVEPOINT a");
    assert_eq!(found, ["data-type 2:17", "reserved-word 2:26", "savepoint 4:1"]);
}

/// Redshift takes these; whether the double does is another matter.
#[test]
fn what_redshift_takes_is_no_finding() {
    for text in [
        "GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO ROLE readers",
        "CREATE MATERIALIZED VIEW m AS SELECT c.id, COUNT(*) FROM c JOIN o ON o.id = c.id GROUP BY c.id",
        "CREATE MATERIALIZED VIEW m AUTO REFRESH YES AS SELECT kafka_offset, JSON_PARSE(kafka_value) FROM k.\"a.b\" \
         WHERE CAN_JSON_PARSE(kafka_value)",
        "COPY t (gzip, region) FROM 's3://b/x' IAM_ROLE default CSV GZIP REGION 'eu-west-1'",
        "COPY t FROM 's3://b/x' CREDENTIALS 'aws_iam_role=x' FORMAT AS PARQUET ACCEPTINVCHARS",
        "SELECT GETDATE(), SYSDATE, CURRENT_USER, \"user\", t.tag FROM t AS \"t\"",
        "SELECT amount::decimal(38,37), name::varchar(max), at::timestamptz FROM t",
        "CREATE TABLE t (id BIGINT IDENTITY(1,1), \"order\" VARCHAR(9) ENCODE zstd, d SUPER) DISTKEY(id) SORTKEY(id)",
        "INSERT INTO t (a) VALUES (1), (DEFAULT)",
        "ALTER TABLE t ALTER SORTKEY (a), ALTER DISTKEY b",
        "ATTACH RLS POLICY p ON t TO ROLE r",
        "VACUUM FULL t",
        "SELECT id FROM t MINUS SELECT id FROM s",
    ] {
        assert_eq!(lint(text).unwrap(), [], "{text}");
    }
}

#[test]
fn the_reference_page_lists_every_rule() {
    let mut wanted = String::from(
        "# What Redshift refuses\n\nThe embedded warehouse refuses these as Amazon Redshift does ([W7012](../errors/W7012.md)), and `weir validate` looks for \
         them in\nthe pipeline's `queries/*.sql` and `warehouse/*.sql`. Written by a test from `crates/warehouse/src/lint/rule.rs`.\n\n\
         | rule | Redshift's reason | page |\n|---|---|---|\n",
    );
    for rule in rule::ALL {
        let page = rule.page.rsplit_once('/').map_or(rule.page, |(_, page)| page).trim_end_matches(".html");
        wanted.push_str(&format!("| `{}` | {} | [{page}]({}) |\n", rule.name, rule.reason, rule.page));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/redshift.md");
    if std::env::var("WEIR_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(path, &wanted).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), wanted, "WEIR_BLESS=1 writes the page anew");
}
