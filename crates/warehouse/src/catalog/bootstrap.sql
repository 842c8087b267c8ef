-- Made anew at each open; holds no user data except the tables of weir_catalog.
CREATE SCHEMA IF NOT EXISTS public;
CREATE SCHEMA IF NOT EXISTS analytics;
CREATE SCHEMA IF NOT EXISTS staging;
CREATE SCHEMA IF NOT EXISTS weir_catalog;
CREATE SCHEMA IF NOT EXISTS weir_sql;
CREATE SCHEMA IF NOT EXISTS weir_pg;

CREATE TABLE IF NOT EXISTS weir_catalog.tables (
    schema_name VARCHAR NOT NULL, table_name VARCHAR NOT NULL, diststyle VARCHAR NOT NULL, distkey VARCHAR,
    sortstyle VARCHAR NOT NULL, sortkey VARCHAR[] NOT NULL, primary_key VARCHAR[] NOT NULL);
CREATE TABLE IF NOT EXISTS weir_catalog.columns (
    schema_name VARCHAR NOT NULL, table_name VARCHAR NOT NULL, column_name VARCHAR NOT NULL,
    redshift_type VARCHAR NOT NULL, encoding VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS weir_catalog.external_schemas (
    schema_name VARCHAR NOT NULL, uri VARCHAR NOT NULL, authentication VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS weir_catalog.streaming_views (
    schema_name VARCHAR NOT NULL, view_name VARCHAR NOT NULL, external_schema VARCHAR NOT NULL, topic VARCHAR NOT NULL,
    auto_refresh BOOLEAN NOT NULL, columns VARCHAR[] NOT NULL);
CREATE TABLE IF NOT EXISTS weir_catalog.stream_positions (
    schema_name VARCHAR NOT NULL, view_name VARCHAR NOT NULL, topic_id VARCHAR NOT NULL, kafka_partition INTEGER NOT NULL,
    next_offset BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS weir_catalog.stream_scan_errors (
    schema_name VARCHAR NOT NULL, view_name VARCHAR NOT NULL, kafka_partition INTEGER NOT NULL, kafka_offset BIGINT NOT NULL,
    record_time TIMESTAMP NOT NULL);
CREATE TABLE IF NOT EXISTS weir_catalog.roles (role_name VARCHAR NOT NULL);
-- kind: relation, schema (object_name is empty), later (of relations that the schema gets from now on).
CREATE TABLE IF NOT EXISTS weir_catalog.grants (
    role_name VARCHAR NOT NULL, kind VARCHAR NOT NULL, schema_name VARCHAR NOT NULL, object_name VARCHAR NOT NULL,
    privilege VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS weir_catalog.functions (function_name VARCHAR NOT NULL, lambda_name VARCHAR NOT NULL);

-- Functions of Redshift that the engine lacks or means otherwise.
CREATE OR REPLACE MACRO weir_sql.nz(b) AS CASE WHEN b = 0 THEN error('WEIR:22012:division by zero') ELSE b END;
CREATE OR REPLACE MACRO weir_sql.trunc_any(x TIMESTAMP) AS CAST(x AS DATE), (x DATE) AS x, (x DECIMAL(38,10)) AS trunc(x),
    (x DOUBLE) AS trunc(x), (x BIGINT) AS x;
CREATE OR REPLACE MACRO weir_sql.trunc_to(x, digits) AS trunc(x, digits);
CREATE OR REPLACE MACRO weir_sql.octets(x VARCHAR) AS strlen(x), (x BLOB) AS octet_length(x);
CREATE OR REPLACE MACRO weir_sql.add_months(d, n) AS
    CASE WHEN CAST(d AS TIMESTAMP) = date_trunc('day', CAST(d AS TIMESTAMP)) AND CAST(d AS DATE) = last_day(CAST(d AS DATE))
    THEN CAST(last_day(CAST(CAST(d AS TIMESTAMP) + to_months(CAST(n AS INTEGER)) AS DATE)) AS TIMESTAMP)
    ELSE CAST(d AS TIMESTAMP) + to_months(CAST(n AS INTEGER)) END;
CREATE OR REPLACE MACRO weir_sql.initcap(x) AS array_to_string(list_transform(string_split(lower(x), ' '),
    lambda w: upper(left(w, 1)) || substring(w, 2)), ' ');
CREATE OR REPLACE MACRO weir_sql.super_type(x) AS CASE json_type(x) WHEN 'OBJECT' THEN 'object' WHEN 'ARRAY' THEN 'array'
    WHEN 'VARCHAR' THEN 'string' WHEN 'BOOLEAN' THEN 'boolean' WHEN 'NULL' THEN 'null' WHEN 'DOUBLE' THEN 'number'
    WHEN 'BIGINT' THEN 'number' WHEN 'UBIGINT' THEN 'number' END;

-- The catalog as clients ask for it.
CREATE OR REPLACE MACRO weir_pg.redshift_type(t) AS CASE
    WHEN t = 'VARCHAR' THEN 'character varying(65535)' WHEN t = 'JSON' THEN 'super' WHEN t = 'BLOB' THEN 'binary varying'
    WHEN t = 'HUGEINT' THEN 'numeric(38,0)' WHEN t LIKE 'DECIMAL%' THEN replace(lower(t), 'decimal', 'numeric')
    WHEN t = 'FLOAT' THEN 'real' WHEN t = 'DOUBLE' THEN 'double precision' WHEN t = 'TIMESTAMP' THEN 'timestamp without time zone'
    WHEN t = 'TIMESTAMP WITH TIME ZONE' THEN 'timestamp with time zone' ELSE lower(t) END;
CREATE OR REPLACE MACRO weir_pg.type_oid(t) AS CASE
    WHEN t LIKE 'character varying%' THEN 1043 WHEN t LIKE 'character%' THEN 1042 WHEN t LIKE 'numeric%' THEN 1700
    WHEN t = 'smallint' THEN 21 WHEN t = 'integer' THEN 23 WHEN t = 'bigint' THEN 20 WHEN t = 'real' THEN 700
    WHEN t = 'double precision' THEN 701 WHEN t = 'boolean' THEN 16 WHEN t = 'date' THEN 1082
    WHEN t = 'timestamp without time zone' THEN 1114 WHEN t = 'timestamp with time zone' THEN 1184
    WHEN t = 'super' THEN 4000 WHEN t LIKE 'binary varying%' THEN 6551 ELSE 25 END;
CREATE OR REPLACE MACRO weir_pg.type_mod(t) AS CASE
    WHEN t LIKE 'character%(%' THEN CAST(regexp_extract(t, '\((\d+)', 1) AS INTEGER) + 4
    WHEN t LIKE 'numeric(%' THEN ((CAST(regexp_extract(t, '\((\d+)', 1) AS INTEGER) << 16)
        | CAST(regexp_extract(t, ',(\d+)', 1) AS INTEGER)) + 4
    ELSE -1 END;
CREATE OR REPLACE MACRO weir_pg.format_type(o, m) AS CASE CAST(o AS BIGINT)
    WHEN 1043 THEN 'character varying' || CASE WHEN m > 4 THEN '(' || CAST(m - 4 AS VARCHAR) || ')' ELSE '' END
    WHEN 1042 THEN 'character' || CASE WHEN m > 4 THEN '(' || CAST(m - 4 AS VARCHAR) || ')' ELSE '' END
    WHEN 1700 THEN 'numeric' || CASE WHEN m > 4 THEN '(' || CAST((m - 4) >> 16 AS VARCHAR) || ',' || CAST((m - 4) & 65535 AS VARCHAR) || ')' ELSE '' END
    WHEN 21 THEN 'smallint' WHEN 23 THEN 'integer' WHEN 20 THEN 'bigint' WHEN 700 THEN 'real' WHEN 701 THEN 'double precision'
    WHEN 16 THEN 'boolean' WHEN 1082 THEN 'date' WHEN 1114 THEN 'timestamp without time zone'
    WHEN 1184 THEN 'timestamp with time zone' WHEN 4000 THEN 'super' WHEN 6551 THEN 'binary varying' WHEN 26 THEN 'oid'
    WHEN 19 THEN 'name' WHEN 17 THEN 'bytea' ELSE 'text' END;
CREATE OR REPLACE MACRO weir_pg.pg_get_userbyid(o) AS 'weir';
CREATE OR REPLACE MACRO weir_pg.pg_table_is_visible(o) AS true;
CREATE OR REPLACE MACRO weir_pg.pg_type_is_visible(o) AS true;
CREATE OR REPLACE MACRO weir_pg.pg_function_is_visible(o) AS true;
CREATE OR REPLACE MACRO weir_pg.pg_get_expr(e, r) AS CAST(e AS VARCHAR), (e, r, pretty) AS CAST(e AS VARCHAR);
CREATE OR REPLACE MACRO weir_pg.pg_get_constraintdef(o) AS NULL, (o, pretty) AS NULL;
CREATE OR REPLACE MACRO weir_pg.pg_get_indexdef(o) AS NULL, (o, c, pretty) AS NULL;
CREATE OR REPLACE MACRO weir_pg.pg_get_function_result(o) AS 'character varying';
CREATE OR REPLACE MACRO weir_pg.pg_get_function_arguments(o) AS 'character varying';
CREATE OR REPLACE MACRO weir_pg.obj_description(o) AS NULL, (o, c) AS NULL;
CREATE OR REPLACE MACRO weir_pg.col_description(o, n) AS NULL;
CREATE OR REPLACE MACRO weir_pg.shobj_description(o, c) AS NULL;
CREATE OR REPLACE MACRO weir_pg.pg_encoding_to_char(e) AS 'UTF8';
CREATE OR REPLACE MACRO weir_pg.pg_table_size(o) AS 0;
CREATE OR REPLACE MACRO weir_pg.pg_relation_size(o) AS 0;
CREATE OR REPLACE MACRO weir_pg.pg_database_size(o) AS 0;
CREATE OR REPLACE MACRO weir_pg.pg_size_pretty(n) AS CAST(n AS VARCHAR) || ' bytes';
CREATE OR REPLACE MACRO weir_pg.has_schema_privilege(a, b) AS true, (a, b, c) AS true;
CREATE OR REPLACE MACRO weir_pg.has_table_privilege(a, b) AS true, (a, b, c) AS true;
CREATE OR REPLACE MACRO weir_pg.has_database_privilege(a, b) AS true, (a, b, c) AS true;
CREATE OR REPLACE MACRO weir_pg.current_schemas(implicit) AS ['public', 'analytics', 'staging'];
CREATE OR REPLACE MACRO weir_pg.current_schema() AS 'public';
CREATE OR REPLACE MACRO weir_pg.current_database() AS 'dev';
CREATE OR REPLACE MACRO weir_pg.version() AS 'PostgreSQL 8.0.2 on Weir, a double of Amazon Redshift';
CREATE OR REPLACE MACRO weir_pg.pg_backend_pid() AS 1;
CREATE OR REPLACE MACRO weir_pg.pg_is_in_recovery() AS false;
CREATE OR REPLACE MACRO weir_pg.quote_ident(x) AS '"' || replace(x, '"', '""') || '"';
CREATE OR REPLACE VIEW weir_pg.pg_namespace AS
    SELECT CAST(s.oid AS BIGINT) AS oid, s.schema_name AS nspname, CAST(100 AS BIGINT) AS nspowner, CAST(NULL AS VARCHAR) AS nspacl
    FROM duckdb_schemas() s WHERE s.database_name NOT IN ('system', 'temp')
      AND s.schema_name NOT IN ('main', 'pg_catalog', 'information_schema') AND NOT starts_with(s.schema_name, 'weir_')
    UNION ALL
    SELECT 900000 + row_number() OVER (ORDER BY e.schema_name), e.schema_name, 100, NULL FROM weir_catalog.external_schemas e;
CREATE OR REPLACE VIEW weir_pg.objects AS
    SELECT t.schema_name, t.table_name AS name, CAST(t.schema_oid AS BIGINT) AS schema_oid, CAST(t.table_oid AS BIGINT) AS oid,
        CASE WHEN v.view_name IS NULL THEN 'r' ELSE 'v' END AS kind, t.estimated_size AS rows, t.column_count AS columns
    FROM duckdb_tables() t
    LEFT JOIN weir_catalog.streaming_views v ON v.schema_name = t.schema_name AND v.view_name = t.table_name
    WHERE t.database_name NOT IN ('system', 'temp') AND t.schema_name <> 'main' AND NOT starts_with(t.schema_name, 'weir_')
    UNION ALL
    SELECT w.schema_name, w.view_name, CAST(w.schema_oid AS BIGINT), CAST(w.view_oid AS BIGINT), 'v', 0, w.column_count
    FROM duckdb_views() w WHERE w.database_name NOT IN ('system', 'temp') AND NOT w.internal AND w.schema_name <> 'main'
      AND NOT starts_with(w.schema_name, 'weir_');
CREATE OR REPLACE VIEW weir_pg.pg_class AS
    SELECT o.oid, o.name AS relname, o.schema_oid AS relnamespace, CAST(0 AS BIGINT) AS reltype, CAST(0 AS BIGINT) AS reloftype,
        CAST(100 AS BIGINT) AS relowner, CAST(0 AS BIGINT) AS relam, o.oid AS relfilenode, CAST(0 AS BIGINT) AS reltablespace,
        0 AS relpages, o.rows AS reltuples, CAST(0 AS BIGINT) AS reltoastrelid, false AS relhasindex, false AS relisshared,
        'p' AS relpersistence, o.kind AS relkind, o.columns AS relnatts, 0 AS relchecks, false AS relhasoids,
        false AS relhaspkey, false AS relhasrules, false AS relhastriggers, false AS relhassubclass, false AS relrowsecurity,
        false AS relforcerowsecurity, false AS relispartition, 'd' AS relreplident, CAST(NULL AS VARCHAR) AS relacl,
        CAST(NULL AS VARCHAR[]) AS reloptions, CAST(NULL AS VARCHAR) AS relpartbound
    FROM weir_pg.objects o;
CREATE OR REPLACE VIEW weir_pg.column_types AS
    SELECT d.schema_name, d.table_name, CAST(d.table_oid AS BIGINT) AS table_oid, d.column_name, d.column_index,
        coalesce(c.redshift_type, weir_pg.redshift_type(d.data_type)) AS type, d.is_nullable, d.column_default,
        coalesce(c.encoding, '') AS encoding
    FROM duckdb_columns() d
    LEFT JOIN weir_catalog.columns c
      ON c.schema_name = d.schema_name AND c.table_name = d.table_name AND c.column_name = d.column_name
    WHERE d.database_name NOT IN ('system', 'temp') AND d.schema_name <> 'main' AND NOT starts_with(d.schema_name, 'weir_');
CREATE OR REPLACE VIEW weir_pg.pg_attribute AS
    SELECT t.table_oid AS attrelid, t.column_name AS attname, CAST(weir_pg.type_oid(t.type) AS BIGINT) AS atttypid,
        -1 AS attstattarget, -1 AS attlen, CAST(t.column_index AS INTEGER) AS attnum, 0 AS attndims,
        weir_pg.type_mod(t.type) AS atttypmod, false AS attbyval, 'p' AS attstorage, 'i' AS attalign,
        NOT t.is_nullable AS attnotnull, t.column_default IS NOT NULL AS atthasdef, false AS attisdropped, true AS attislocal,
        '' AS attidentity, '' AS attgenerated, 0 AS attinhcount, CAST(0 AS BIGINT) AS attcollation, CAST(NULL AS VARCHAR) AS attacl,
        CAST(NULL AS VARCHAR[]) AS attoptions
    FROM weir_pg.column_types t;
CREATE OR REPLACE VIEW weir_pg.pg_attrdef AS
    SELECT t.table_oid * 1000 + t.column_index AS oid, t.table_oid AS adrelid, CAST(t.column_index AS INTEGER) AS adnum,
        t.column_default AS adbin, t.column_default AS adsrc
    FROM weir_pg.column_types t WHERE t.column_default IS NOT NULL;
CREATE OR REPLACE VIEW weir_pg.pg_type AS
    SELECT CAST(x.oid AS BIGINT) AS oid, x.typname, CAST(11 AS BIGINT) AS typnamespace, CAST(100 AS BIGINT) AS typowner, x.typlen,
        'b' AS typtype, x.typcategory, true AS typisdefined, ',' AS typdelim, CAST(0 AS BIGINT) AS typrelid,
        CAST(0 AS BIGINT) AS typelem, CAST(0 AS BIGINT) AS typarray, CAST(0 AS BIGINT) AS typbasetype, -1 AS typtypmod,
        false AS typnotnull, CAST(0 AS BIGINT) AS typcollation, CAST(NULL AS VARCHAR) AS typdefault, x.typname || 'in' AS typinput,
        x.typname || 'recv' AS typreceive
    FROM (VALUES (16, 'bool', 1, 'B'), (17, 'bytea', -1, 'U'), (19, 'name', 64, 'S'), (20, 'int8', 8, 'N'), (21, 'int2', 2, 'N'),
        (23, 'int4', 4, 'N'), (25, 'text', -1, 'S'), (26, 'oid', 4, 'N'), (700, 'float4', 4, 'N'), (701, 'float8', 8, 'N'),
        (1042, 'bpchar', -1, 'S'), (1043, 'varchar', -1, 'S'), (1082, 'date', 4, 'D'), (1114, 'timestamp', 8, 'D'),
        (1184, 'timestamptz', 8, 'D'), (1700, 'numeric', -1, 'N'), (4000, 'super', -1, 'U'), (6551, 'varbyte', -1, 'U'))
        AS x(oid, typname, typlen, typcategory);
CREATE OR REPLACE VIEW weir_pg.pg_views AS
    SELECT w.schema_name AS schemaname, w.view_name AS viewname, 'weir' AS viewowner, w.sql AS definition,
        CAST(w.view_oid AS BIGINT) AS oid
    FROM duckdb_views() w WHERE w.database_name NOT IN ('system', 'temp') AND NOT w.internal AND NOT starts_with(w.schema_name, 'weir_');
CREATE OR REPLACE VIEW weir_pg.pg_tables AS
    SELECT o.schema_name AS schemaname, o.name AS tablename, 'weir' AS tableowner, CAST(NULL AS VARCHAR) AS tablespace,
        false AS hasindexes, false AS hasrules, false AS hastriggers
    FROM weir_pg.objects o WHERE o.kind = 'r';
CREATE OR REPLACE VIEW weir_pg.pg_roles AS
    SELECT CAST(100 AS BIGINT) AS oid, 'weir' AS rolname, true AS rolsuper, true AS rolinherit, true AS rolcreaterole,
        true AS rolcreatedb, true AS rolcanlogin, false AS rolreplication, false AS rolbypassrls, -1 AS rolconnlimit,
        CAST(NULL AS TIMESTAMP) AS rolvaliduntil, CAST(NULL AS VARCHAR[]) AS rolconfig, CAST(NULL AS VARCHAR) AS rolpassword;
CREATE OR REPLACE VIEW weir_pg.pg_user AS
    SELECT 'weir' AS usename, CAST(100 AS BIGINT) AS usesysid, true AS usecreatedb, true AS usesuper, true AS usecatupd,
        '********' AS passwd, CAST(NULL AS TIMESTAMP) AS valuntil, CAST(NULL AS VARCHAR[]) AS useconfig;
CREATE OR REPLACE VIEW weir_pg.pg_auth_members AS
    SELECT CAST(0 AS BIGINT) AS roleid, CAST(0 AS BIGINT) AS member, CAST(0 AS BIGINT) AS grantor, false AS admin_option WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_database AS
    SELECT CAST(1 AS BIGINT) AS oid, 'dev' AS datname, CAST(100 AS BIGINT) AS datdba, 6 AS encoding, 'C' AS datcollate, 'C' AS datctype,
        false AS datistemplate, true AS datallowconn, -1 AS datconnlimit, CAST(0 AS BIGINT) AS dattablespace,
        CAST(NULL AS VARCHAR[]) AS datacl, CAST(NULL AS VARCHAR) AS daticulocale, 'c' AS datlocprovider;
CREATE OR REPLACE VIEW weir_pg.pg_proc AS
    SELECT 950000 + row_number() OVER (ORDER BY f.function_name) AS oid, f.function_name AS proname,
        (SELECT n.oid FROM weir_pg.pg_namespace n WHERE n.nspname = 'public') AS pronamespace, CAST(100 AS BIGINT) AS proowner,
        CAST(0 AS BIGINT) AS prolang, 'f' AS prokind, false AS proisagg, false AS proiswindow, CAST(1043 AS BIGINT) AS prorettype,
        false AS proretset, 's' AS provolatile, f.lambda_name AS prosrc, 1 AS pronargs
    FROM weir_catalog.functions f;
CREATE OR REPLACE VIEW weir_pg.pg_index AS SELECT CAST(0 AS BIGINT) AS indexrelid, CAST(0 AS BIGINT) AS indrelid,
    false AS indisunique, false AS indisprimary, false AS indisclustered, false AS indisvalid, false AS indisreplident,
    CAST(NULL AS INTEGER[]) AS indkey, CAST(NULL AS VARCHAR) AS indpred, 0 AS indnatts WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_constraint AS SELECT CAST(0 AS BIGINT) AS oid, '' AS conname, CAST(0 AS BIGINT) AS conrelid,
    CAST(0 AS BIGINT) AS confrelid, CAST(0 AS BIGINT) AS conindid, CAST(0 AS BIGINT) AS contypid, CAST(0 AS BIGINT) AS connamespace, 'p' AS contype,
    false AS condeferrable, false AS condeferred, true AS convalidated, CAST(NULL AS INTEGER[]) AS conkey,
    CAST(NULL AS INTEGER[]) AS confkey, CAST(0 AS BIGINT) AS conparentid WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_description AS SELECT CAST(0 AS BIGINT) AS objoid, CAST(0 AS BIGINT) AS classoid, 0 AS objsubid,
    '' AS description WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_shdescription AS SELECT CAST(0 AS BIGINT) AS objoid, CAST(0 AS BIGINT) AS classoid, '' AS description WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_inherits AS SELECT CAST(0 AS BIGINT) AS inhrelid, CAST(0 AS BIGINT) AS inhparent, 0 AS inhseqno,
    false AS inhdetachpending WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_collation AS SELECT CAST(0 AS BIGINT) AS oid, '' AS collname WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_am AS SELECT CAST(0 AS BIGINT) AS oid, '' AS amname WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_language AS SELECT CAST(0 AS BIGINT) AS oid, 'exfunc' AS lanname;
CREATE OR REPLACE VIEW weir_pg.pg_tablespace AS SELECT CAST(0 AS BIGINT) AS oid, '' AS spcname WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_trigger AS SELECT CAST(0 AS BIGINT) AS oid, '' AS tgname, CAST(0 AS BIGINT) AS tgrelid,
    'O' AS tgenabled, false AS tgisinternal WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_rewrite AS SELECT CAST(0 AS BIGINT) AS oid, '' AS rulename, CAST(0 AS BIGINT) AS ev_class, 'O' AS ev_enabled WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_policy AS SELECT CAST(0 AS BIGINT) AS oid, '' AS polname, CAST(0 AS BIGINT) AS polrelid WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_enum AS SELECT CAST(0 AS BIGINT) AS oid, CAST(0 AS BIGINT) AS enumtypid, '' AS enumlabel, 0 AS enumsortorder WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_range AS SELECT CAST(0 AS BIGINT) AS rngtypid, CAST(0 AS BIGINT) AS rngsubtype WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_depend AS SELECT CAST(0 AS BIGINT) AS classid, CAST(0 AS BIGINT) AS objid, CAST(0 AS BIGINT) AS refobjid,
    0 AS objsubid, 0 AS refobjsubid, CAST(0 AS BIGINT) AS refclassid, 'n' AS deptype WHERE false;
CREATE OR REPLACE VIEW weir_pg.pg_settings AS SELECT 'server_version' AS name, '8.0.2' AS setting;
CREATE OR REPLACE VIEW weir_pg.pg_table_def AS
    SELECT t.schema_name AS schemaname, t.table_name AS tablename, t.column_name AS "column", t.type, t.encoding,
        coalesce(w.distkey = t.column_name, false) AS distkey,
        coalesce(list_position(w.sortkey, t.column_name), 0) AS sortkey, NOT t.is_nullable AS "notnull"
    FROM weir_pg.column_types t
    LEFT JOIN weir_catalog.tables w ON w.schema_name = t.schema_name AND w.table_name = t.table_name;

CREATE OR REPLACE VIEW weir_pg.svv_mv_info AS
    SELECT 'dev' AS database_name, v.schema_name, 'weir' AS user_name, v.view_name AS name, 'f' AS is_stale, 1 AS state,
        CASE WHEN v.auto_refresh THEN 't' ELSE 'f' END AS autorefresh
    FROM weir_catalog.streaming_views v;
CREATE OR REPLACE VIEW weir_pg.sys_stream_scan_errors AS
    SELECT e.view_name AS mv_name, e.record_time, e.kafka_partition AS partition_id, e.kafka_offset AS position,
        'the record is larger than 16 MiB' AS error_reason
    FROM weir_catalog.stream_scan_errors e;
CREATE OR REPLACE VIEW weir_pg.svv_external_schemas AS
    SELECT e.schema_name AS schemaname, 'KAFKA' AS eskind, e.uri AS esoptions FROM weir_catalog.external_schemas e;
CREATE OR REPLACE VIEW weir_pg.svv_roles AS
    SELECT row_number() OVER (ORDER BY role_name) AS role_id, role_name, 'weir' AS role_owner, CAST(NULL AS VARCHAR) AS external_id
    FROM weir_catalog.roles;
CREATE OR REPLACE VIEW weir_pg.svv_relation_privileges AS
    SELECT g.schema_name AS namespace_name, g.object_name AS relation_name, g.privilege AS privilege_type, r.role_id AS identity_id,
        g.role_name AS identity_name, 'role' AS identity_type, false AS admin_option
    FROM weir_catalog.grants g JOIN weir_pg.svv_roles r ON r.role_name = g.role_name WHERE g.kind = 'relation';
CREATE OR REPLACE VIEW weir_pg.svv_schema_privileges AS
    SELECT g.schema_name AS namespace_name, g.privilege AS privilege_type, r.role_id AS identity_id, g.role_name AS identity_name,
        'role' AS identity_type, false AS admin_option
    FROM weir_catalog.grants g JOIN weir_pg.svv_roles r ON r.role_name = g.role_name WHERE g.kind = 'schema';
CREATE OR REPLACE VIEW weir_pg.svv_table_info AS
    SELECT 'dev' AS database, o.schema_name AS schema, o.oid AS table_id, o.name AS "table",
        CASE w.diststyle WHEN 'KEY' THEN 'KEY(' || w.distkey || ')' ELSE coalesce(w.diststyle, 'AUTO') END AS diststyle,
        coalesce(w.sortkey[1], 'AUTO(SORTKEY)') AS sortkey1, len(w.sortkey) AS sortkey_num, o.rows AS tbl_rows
    FROM weir_pg.objects o LEFT JOIN weir_catalog.tables w ON w.schema_name = o.schema_name AND w.table_name = o.name
    WHERE o.kind = 'r';
CREATE OR REPLACE VIEW weir_pg.svv_tables AS
    SELECT 'dev' AS table_catalog, o.schema_name AS table_schema, o.name AS table_name,
        CASE o.kind WHEN 'r' THEN 'BASE TABLE' ELSE 'VIEW' END AS table_type FROM weir_pg.objects o;
CREATE OR REPLACE VIEW weir_pg.info_columns AS
    SELECT 'dev' AS table_catalog, t.schema_name AS table_schema, t.table_name, t.column_name,
        t.column_index AS ordinal_position, t.column_default, CASE WHEN t.is_nullable THEN 'YES' ELSE 'NO' END AS is_nullable,
        split_part(t.type, '(', 1) AS data_type,
        CASE WHEN t.type LIKE 'character%' THEN weir_pg.type_mod(t.type) - 4 END AS character_maximum_length,
        CASE WHEN t.type LIKE 'numeric(%' THEN (weir_pg.type_mod(t.type) - 4) >> 16 END AS numeric_precision,
        CASE WHEN t.type LIKE 'numeric(%' THEN (weir_pg.type_mod(t.type) - 4) & 65535 END AS numeric_scale
    FROM weir_pg.column_types t;
CREATE OR REPLACE VIEW weir_pg.svv_columns AS SELECT * FROM weir_pg.info_columns;
CREATE OR REPLACE VIEW weir_pg.info_tables AS SELECT * FROM weir_pg.svv_tables;
CREATE OR REPLACE VIEW weir_pg.info_schemata AS
    SELECT 'dev' AS catalog_name, n.nspname AS schema_name, 'weir' AS schema_owner FROM weir_pg.pg_namespace n;
CREATE OR REPLACE MACRO weir_pg.pg_get_viewdef(o) AS (SELECT v.definition FROM weir_pg.pg_views v WHERE v.oid = CAST(o AS BIGINT)),
    (o, pretty) AS (SELECT v.definition FROM weir_pg.pg_views v WHERE v.oid = CAST(o AS BIGINT));
CREATE OR REPLACE MACRO weir_pg.to_regclass(x) AS (SELECT min(c.oid) FROM weir_pg.pg_class c
    JOIN weir_pg.pg_namespace n ON n.oid = c.relnamespace
    WHERE replace(x, '"', '') IN (c.relname, n.nspname || '.' || c.relname));
