//! The rules: a name, Redshift's reason, and the page of its manual that says so.

/// Why Redshift refuses something.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable, e.g. `merge-clauses`.
    pub name: &'static str,
    /// What Redshift has instead, or what it wants.
    pub reason: &'static str,
    /// Address of the page.
    pub page: &'static str,
}

macro_rules! rules {
    ($($id:ident $name:literal $page:literal $reason:literal;)+) => {
        $(
            #[doc = $reason]
            pub const $id: Rule = Rule {
                name: $name,
                reason: $reason,
                page: concat!("https://docs.aws.amazon.com/redshift/latest/dg/", $page, ".html"),
            };
        )+
        /// Every rule, in the order of the reference page.
        pub const ALL: &[&Rule] = &[$(&$id),+];
    };
}

rules! {
    COMMAND "unknown-command" "c_SQL_commands" "it has no such command";
    INDEX "index" "c_unsupported-postgresql-features" "it has no indexes; declare a SORTKEY";
    TRIGGER "trigger" "c_unsupported-postgresql-features" "it has no triggers";
    SEQUENCE "sequence" "c_unsupported-postgresql-features" "it has no sequences";
    OWN_TYPE "own-type" "c_unsupported-postgresql-datatypes" "it has no types of one's own";
    SAVEPOINT "savepoint" "c_unsupported-postgresql-functions" "transactions have no savepoints";
    VACUUM_IN_A_TRANSACTION "vacuum-in-a-transaction" "r_VACUUM_command" "it runs on its own";
    EXPLAIN_ANALYZE "explain-analyze" "r_EXPLAIN" "EXPLAIN shows a plan and runs nothing";

    OR_REPLACE_TABLE "or-replace-table" "r_CREATE_TABLE_NEW" "drop the table first";
    CHECK "check" "c_unsupported-postgresql-features" "only NOT NULL is enforced";

    SUPER_KEY "super-key" "limitations-super" "SUPER has no order";
    DATA_TYPE "data-type" "c_unsupported-postgresql-datatypes" "it has no such type";
    TYPE_SIZE "type-size" "c_Supported_data_types" "VARCHAR holds 65535 bytes, CHAR 4096, DECIMAL 38 digits of which 37 behind the point";
    ENCODING "encoding" "c_Compression_encodings" "it has no such encoding";
    SYSTEM_COLUMN "system-column" "c_unsupported-postgresql-features" "the name is taken by a system column; choose another";
    RESERVED_WORD "reserved-word" "r_pg_keywords" "the name is a reserved word; put it in double quotes";
    ONE_ALTERATION "one-alteration" "r_ALTER_TABLE" "one change at a time";
    ONE_TRUNCATE "one-truncate" "r_TRUNCATE" "one table at a time";

    ON_CONFLICT "on-conflict" "r_INSERT_30" "write a MERGE";
    RETURNING "returning" "r_INSERT_30" "INSERT, UPDATE, DELETE and MERGE give no rows";
    MERGE_CLAUSES "merge-clauses" "r_MERGE" "exactly one WHEN MATCHED THEN UPDATE or DELETE and one WHEN NOT MATCHED THEN INSERT, without AND";
    MERGE_CONDITION "merge-condition" "r_MERGE" "the condition is equalities joined by AND";
    MERGE_TARGET "merge-target" "r_MERGE" "the target is a table, by its own name";
    MERGE_SOURCE "merge-source" "r_MERGE" "the source is a table, view or plain subquery";

    FOR_UPDATE "for-update" "r_SELECT_synopsis" "rows are not locked one by one";
    DISTINCT_ON "distinct-on" "r_SELECT_list" "it is PostgreSQL's only";
    LATERAL "lateral" "r_FROM_clause30" "subqueries in FROM cannot see their neighbours";
    TABLE_FUNCTION "table-function" "c_unsupported-postgresql-features" "a FROM clause holds tables, views and subqueries";
    CONSTANT_TABLE "constant-table" "c_unsupported-postgresql-features" "VALUES stands in INSERT only; write SELECT .. UNION ALL SELECT ..";
    ARRAY "array" "c_unsupported-postgresql-features" "it has no array constructor; write ARRAY(..), which gives SUPER";
    FILTER "filter" "c_Aggregate_Functions" "aggregates take no FILTER; use CASE";
    DISTINCT_FROM "distinct-from" "c_unsupported-postgresql-functions" "compare with =, and ask for IS NULL beside it";
    FUNCTION "function" "c_unsupported-postgresql-functions" "it has no such function";

    COPY_OPTION "copy-option" "copy-usage_notes-copy-from-columnar" "a COPY of Parquet takes credentials, MANIFEST, FILLRECORD, STATUPDATE, ACCEPTINVCHARS and EXPLICIT_IDS only";
    COPY_CREDENTIALS "copy-credentials" "copy-parameters-authorization" "a COPY from S3 needs credentials";

    STREAM_ROLE "stream-role" "r_CREATE_EXTERNAL_SCHEMA" "the role is what authenticates";
    STREAM_VIEW "stream-view" "materialized-view-streaming-ingestion" "a streaming view must be kept up incrementally: columns of one topic and a row filter, no join, set operation, DISTINCT, window or subquery";
    STREAM_FUNCTION "stream-function" "materialized-view-create-sql-command" "a materialized view calls no user-defined function; keep the raw record and decode it afterwards";
    STREAM_TOPIC "stream-topic" "materialized-view-streaming-ingestion" "upper-case topic names break auto refresh";
    OR_REPLACE_VIEW "or-replace-materialized-view" "materialized-view-create-sql-command" "drop the materialized view first";
    LAMBDA_TYPE "lambda-type" "r_CREATE_EXTERNAL_FUNCTION" "a Lambda function takes and gives no SUPER and no VARBYTE";
    LAMBDA_IMMUTABLE "lambda-immutable" "r_CREATE_EXTERNAL_FUNCTION" "a Lambda function is VOLATILE or STABLE";
}
