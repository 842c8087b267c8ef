//! The streaming branch as Redshift SQL: setting up, and one step of decoding and applying.
//!
//! A step takes what the view holds behind the stored positions, keeps per key the change with the highest
//! (order key, op rank), drops those not above the key's place so far, applies the rest to the mirror, and moves
//! the positions: rows and positions in one transaction. Run twice, the second time changes nothing. A key's
//! place outlives its row, so a late change of a deleted key brings nothing back. The newest truncation of the table
//! is kept in the place of all places before it, to the same end.

use weir_core::change::Op;
use weir_core::column::{Column, ColumnType};
use weir_project::{ConnectorKind, Project, Table};

use crate::script::{ident, list, qualified, redshift_type};
use crate::statement::text::redshift_literal;

/// The external schema that stands for the brokers.
pub const EXTERNAL_SCHEMA: &str = "kafka";

/// Name of a table's streaming view.
pub fn view_name(table: &Table) -> String {
    format!("{}_cdc_mv", table.name)
}

/// Schemas, the Lambda function, and the tables that all mirrors share. May run again.
pub fn setup() -> String {
    format!(
        "CREATE SCHEMA IF NOT EXISTS staging;
CREATE EXTERNAL SCHEMA IF NOT EXISTS {EXTERNAL_SCHEMA} FROM KAFKA
IAM_ROLE ${{iam_role}}
AUTHENTICATION ${{auth}}
URI '${{brokers}}';
CREATE OR REPLACE EXTERNAL FUNCTION f_cdc_avro_to_json(varchar(max)) RETURNS varchar(max) STABLE
LAMBDA 'weir-cdc-avro-to-json' IAM_ROLE ${{iam_role}} RETRY_TIMEOUT 20000 MAX_BATCH_ROWS 500 MAX_BATCH_SIZE 1 MB;
CREATE TABLE IF NOT EXISTS staging.stream_position (
    view_name VARCHAR(127) NOT NULL,
    kafka_partition BIGINT NOT NULL,
    kafka_offset BIGINT NOT NULL
) DISTSTYLE ALL;
CREATE TABLE IF NOT EXISTS staging.stream_errors (
    view_name VARCHAR(127) NOT NULL,
    kafka_partition BIGINT NOT NULL,
    kafka_offset BIGINT NOT NULL,
    seen_at TIMESTAMP NOT NULL
) DISTSTYLE EVEN;
CREATE TABLE IF NOT EXISTS staging.stream_truncation (
    view_name VARCHAR(127) NOT NULL,
    _order_key VARCHAR(128) NOT NULL
) DISTSTYLE ALL;
"
    )
}

/// Whether a table's streaming view is there: its name, or nothing.
pub fn find_view(table: &Table) -> String {
    let view = redshift_literal(&view_name(table));
    format!("SELECT name FROM svv_mv_info WHERE schema_name = 'staging' AND name = {view}")
}

/// The streaming view of a table. Redshift has no IF NOT EXISTS for it: run it only if the view is not there.
pub fn create_view(table: &Table) -> String {
    format!(
        "CREATE MATERIALIZED VIEW {} AUTO REFRESH YES AS
SELECT kafka_partition, kafka_offset, kafka_timestamp_type, kafka_timestamp, kafka_key, kafka_value, kafka_headers, refresh_time
FROM {EXTERNAL_SCHEMA}.\"{}\";
",
        qualified("staging", &view_name(table)),
        table.topic
    )
}

/// The tables of a mirror. May run again.
pub fn tables(table: &Table) -> String {
    let name = table.name.as_str();
    let distkey = ident(table.key[0].as_str());
    let is_key = |column: &str| table.key.iter().any(|key| key.as_str() == column);
    // Only keys are NOT NULL: a column that became nullable at the source must not stop the mirror.
    let column = |column: &weir_core::column::Column| {
        let not_null = if is_key(column.name.as_str()) { " NOT NULL" } else { "" };
        format!("    {} {}{not_null}", ident(column.name.as_str()), redshift_type(column.kind))
    };
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    let keys: Vec<String> = table.columns.iter().filter(|c| is_key(c.name.as_str())).map(column).collect();
    let sortkey = list(table.key.iter().map(AsRef::as_ref));
    let place = "    _order_key VARCHAR(128) NOT NULL,\n    _op_rank SMALLINT NOT NULL";
    format!(
        "CREATE TABLE IF NOT EXISTS {mirror_name} (
{}
) DISTKEY({distkey}) SORTKEY({sortkey});
CREATE TABLE IF NOT EXISTS {stream_name} (
    kafka_partition BIGINT NOT NULL,
    kafka_offset BIGINT NOT NULL,
    tombstone BOOLEAN NOT NULL,
    data SUPER
) DISTSTYLE EVEN;
CREATE TABLE IF NOT EXISTS {latest_name} (
{},
    _op VARCHAR(1) NOT NULL,
{place}
) DISTKEY({distkey});
CREATE TABLE IF NOT EXISTS {position_name} (
{},
{place}
) DISTKEY({distkey}) SORTKEY({sortkey});
",
        columns.join(",\n"),
        columns.join(",\n"),
        keys.join(",\n"),
        mirror_name = qualified("staging", name),
        stream_name = qualified("staging", &format!("{name}_stream")),
        latest_name = qualified("staging", &format!("{name}_latest")),
        position_name = qualified("staging", &format!("{name}_position")),
    )
}

/// The columns of one of a mirror's tables, as they are.
pub fn columns_of(name: &str) -> String {
    let name = redshift_literal(name);
    format!("SELECT column_name FROM svv_columns WHERE table_schema = 'staging' AND table_name = {name}")
}

/// Drops a table's streaming view, which is made anew behind [`widen`].
pub fn drop_view(table: &Table) -> String {
    format!("DROP MATERIALIZED VIEW {}", qualified("staging", &view_name(table)))
}

/// Gives a mirror the columns that its contract has gained, and forgets how far its topic was read: what came before the
/// contract knew them is decoded again, as far back as the topic reaches, once the view is made anew. `latest` gets its
/// columns last, so that a run that is cut off is seen to be unfinished; may run again.
pub fn widen(table: &Table, mirror: &[&Column], latest: &[&Column]) -> String {
    let name = table.name.as_str();
    let q = |name: &str| qualified("staging", name);
    let view = redshift_literal(&view_name(table));
    let mut out = format!("DELETE FROM {};\n", q(&format!("{name}_position")));
    for shared in ["stream_position", "stream_errors"] {
        out += &format!("DELETE FROM staging.{shared} WHERE view_name = {view};\n");
    }
    for (table, columns) in [(name.to_owned(), mirror), (format!("{name}_latest"), latest)] {
        for column in columns {
            let (column, kind) = (ident(column.name.as_str()), redshift_type(column.kind));
            out += &format!("ALTER TABLE {} ADD COLUMN {column} {kind};\n", q(&table));
        }
    }
    out
}

/// One step: from the view to the mirror, in one transaction.
pub fn script(project: &Project, table: &Table) -> String {
    let name = table.name.as_str();
    let view = view_name(table);
    let (stream, latest, position) = (format!("{name}_stream"), format!("{name}_latest"), format!("{name}_position"));
    let q = |name: &str| qualified("staging", name);
    let keys: Vec<&str> = table.key.iter().map(AsRef::as_ref).collect();
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let on = |left: &str, right: &str| {
        let pairs = keys.iter().map(|key| format!("{}.{k} = {}.{k}", ident(left), ident(right), k = ident(key)));
        pairs.collect::<Vec<_>>().join(" AND ")
    };
    let kind = |name: &str| table.columns.iter().find(|c| c.name.as_str() == name).map(|c| c.kind);
    // A delete has no row after it, everything else has none before it that matters.
    let key_values: Vec<String> = keys
        .iter()
        .map(|key| {
            let kind = kind(key).unwrap_or(ColumnType::Int);
            let (before, after) = (value("s.data.before", key, kind), value("s.data.after", key, kind));
            format!("CASE WHEN s.data.op::varchar(1) = 'd' THEN {before} ELSE {after} END")
        })
        .collect();
    let selected: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let column_name = column.name.as_str();
            match keys.iter().position(|key| *key == column_name) {
                Some(at) => format!("w.key_{at}"),
                None => value("w.data.after", column_name, column.kind),
            }
        })
        .collect();
    let key_aliases: Vec<String> =
        key_values.iter().enumerate().map(|(at, value)| format!("{value} AS key_{at}")).collect();
    let no_key: Vec<String> = key_values.iter().map(|value| format!("{value} IS NULL")).collect();
    let key_names: Vec<String> = (0..keys.len()).map(|at| format!("c.key_{at}")).collect();
    let ranks: Vec<String> = [Op::Delete, Op::Read, Op::Create]
        .iter()
        .map(|op| format!("WHEN '{}' THEN {}", op.letter(), op.rank()))
        .collect();
    let others: Vec<&str> = columns.iter().copied().filter(|column| !keys.contains(column)).collect();
    let set = |target: &[&str]| {
        let pairs = target.iter().map(|column| format!("{c} = {}.{c}", ident(&latest), c = ident(column)));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let values = |columns: &[&str]| {
        let values = columns.iter().map(|column| format!("{}.{}", ident(&latest), ident(column)));
        values.collect::<Vec<_>>().join(", ")
    };
    let place = ["_order_key", "_op_rank"];
    // What stands for a value that PostgreSQL's log lacks, because it is stored out of line and the update left it alone:
    // the newest value that this step has of the key, else the mirror's. Nothing for a column that cannot hold the
    // placeholder.
    let on_step: Vec<String> =
        keys.iter().enumerate().map(|(at, key)| format!("k.key_{at} = {}.{}", ident(&latest), ident(key))).collect();
    let filled = |column: &Column| {
        let placeholder = &project.staging.unavailable_value;
        let placeholder = match column.kind {
            ColumnType::Text { .. } => redshift_literal(placeholder),
            ColumnType::VarBinary { .. } => format!("TO_VARBYTE('{}', 'hex')", hex::encode(placeholder)),
            _ => return String::new(),
        };
        format!(
            "UPDATE {latest_q} SET {column_name} = k.value
FROM (
    SELECT c.*, ROW_NUMBER() OVER (PARTITION BY {key_names} ORDER BY c.order_key DESC, c.op_rank DESC) AS nth
    FROM (
        SELECT {key_aliases}, {value} AS value, s.data.order_key::varchar(128) AS order_key,
            CASE s.data.op::varchar(1) {ranks} ELSE {update} END AS op_rank
        FROM {stream} AS s
        WHERE s.data IS NOT NULL AND s.data.op::varchar(1) <> 'd'
    ) AS c
    WHERE c.value IS NULL OR c.value <> {placeholder}
) AS k
WHERE k.nth = 1 AND {on_step} AND {latest}.{column_name} = {placeholder};
UPDATE {latest_q} SET {column_name} = {mirror}.{column_name}
FROM {mirror_q} WHERE {on_mirror} AND {latest}.{column_name} = {placeholder};
UPDATE {latest_q} SET {column_name} = NULL WHERE {column_name} = {placeholder};
",
            latest_q = q(&latest),
            latest = ident(&latest),
            column_name = ident(column.name.as_str()),
            key_names = key_names.join(", "),
            key_aliases = key_aliases.join(", "),
            value = value("s.data.after", column.name.as_str(), column.kind),
            ranks = ranks.join(" "),
            update = Op::Update.rank(),
            stream = q(&stream),
            on_step = on_step.join(" AND "),
            mirror = ident(name),
            mirror_q = q(name),
            on_mirror = on(name, &latest),
        )
    };
    let unavailable: String = match table.connector.kind {
        ConnectorKind::Postgres => {
            table.columns.iter().filter(|column| others.contains(&column.name.as_str())).map(filled).collect()
        }
        ConnectorKind::SqlServer => String::new(),
    };
    let mut placed = keys.clone();
    placed.extend(place);
    format!(
        "BEGIN;
-- the records behind the stored positions, decoded
DELETE FROM {stream};
INSERT INTO {stream} (kafka_partition, kafka_offset, tombstone, data)
SELECT v.kafka_partition, v.kafka_offset, v.kafka_value IS NULL,
    JSON_PARSE(f_cdc_avro_to_json(FROM_VARBYTE(v.kafka_value, 'hex')))
FROM {view} AS v
LEFT JOIN staging.stream_position AS p ON p.view_name = '{view_name}' AND p.kafka_partition = v.kafka_partition
WHERE v.kafka_offset > COALESCE(p.kafka_offset, -1);
-- what cannot be decoded is kept out and counted
INSERT INTO staging.stream_errors (view_name, kafka_partition, kafka_offset, seen_at)
SELECT '{view_name}', s.kafka_partition, s.kafka_offset, GETDATE()
FROM {stream} AS s
WHERE NOT s.tombstone AND (s.data IS NULL OR (s.data.op::varchar(1) <> '{truncate}' AND ({no_key})));
-- the newest truncation of the table ends every row whose place lies before it, and stands for these places
MERGE INTO staging.stream_truncation USING (
    SELECT '{view_name}' AS view_name, MAX(s.data.order_key::varchar(128)) AS order_key
    FROM {stream} AS s
    WHERE s.data.op::varchar(1) = '{truncate}'
    HAVING COUNT(*) > 0
) AS t ON stream_truncation.view_name = t.view_name
WHEN MATCHED THEN UPDATE SET _order_key = GREATEST(stream_truncation._order_key, t.order_key)
WHEN NOT MATCHED THEN INSERT (view_name, _order_key) VALUES (t.view_name, t.order_key);
DELETE FROM {mirror_q} USING {position_q}, staging.stream_truncation
WHERE {on_place} AND stream_truncation.view_name = '{view_name}' AND {position}._order_key < stream_truncation._order_key;
DELETE FROM {position_q} USING staging.stream_truncation
WHERE stream_truncation.view_name = '{view_name}' AND {position}._order_key < stream_truncation._order_key;
-- per key the change with the highest place
DELETE FROM {latest_q};
INSERT INTO {latest_q} ({columns}, _op, _order_key, _op_rank)
SELECT {selected}, w.op, w.order_key, w.op_rank
FROM (
    SELECT c.*, ROW_NUMBER() OVER (PARTITION BY {key_names} ORDER BY c.order_key DESC, c.op_rank DESC) AS nth
    FROM (
        SELECT s.data, {key_aliases},
            s.data.op::varchar(1) AS op, s.data.order_key::varchar(128) AS order_key,
            CASE s.data.op::varchar(1) {ranks} ELSE {update} END AS op_rank
        FROM {stream} AS s
        WHERE s.data IS NOT NULL AND NOT ({no_key})
    ) AS c
) AS w
WHERE w.nth = 1;
-- only what lies above the newest truncation and above the key's place so far, deleted keys included
DELETE FROM {latest_q} USING staging.stream_truncation
WHERE stream_truncation.view_name = '{view_name}' AND {latest}._order_key < stream_truncation._order_key;
DELETE FROM {latest_q} USING {position_q}
WHERE {on_position} AND ({position}._order_key > {latest}._order_key
    OR ({position}._order_key = {latest}._order_key AND {position}._op_rank >= {latest}._op_rank));
MERGE INTO {position_q} USING {latest_q} ON {on_position}
WHEN MATCHED THEN UPDATE SET {set_place}
WHEN NOT MATCHED THEN INSERT ({placed}) VALUES ({placed_values});
-- the mirror
DELETE FROM {mirror_q} USING {latest_q} WHERE {on_mirror} AND {latest}._op = 'd';
DELETE FROM {latest_q} WHERE _op = 'd';
{unavailable}MERGE INTO {mirror_q} USING {latest_q} ON {on_mirror}
WHEN MATCHED THEN UPDATE SET {set_columns}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({column_values});
DELETE FROM {latest_q};
-- the positions, and the raw records that they passed
MERGE INTO staging.stream_position USING (
    SELECT '{view_name}' AS view_name, s.kafka_partition, MAX(s.kafka_offset) AS kafka_offset
    FROM {stream} AS s
    GROUP BY s.kafka_partition
) AS r ON stream_position.view_name = r.view_name AND stream_position.kafka_partition = r.kafka_partition
WHEN MATCHED THEN UPDATE SET kafka_offset = r.kafka_offset
WHEN NOT MATCHED THEN INSERT (view_name, kafka_partition, kafka_offset) VALUES (r.view_name, r.kafka_partition, r.kafka_offset);
DELETE FROM {view} USING staging.stream_position
WHERE stream_position.view_name = '{view_name}' AND stream_position.kafka_partition = {view_ident}.kafka_partition
    AND {view_ident}.kafka_offset <= stream_position.kafka_offset;
DELETE FROM {stream};
COMMIT;
",
        stream = q(&stream),
        view = q(&view),
        view_name = view,
        view_ident = ident(&view),
        latest_q = q(&latest),
        latest = ident(&latest),
        position_q = q(&position),
        position = ident(&position),
        mirror_q = q(name),
        columns = list(columns.iter().copied()),
        selected = selected.join(", "),
        no_key = no_key.join(" OR "),
        key_names = key_names.join(", "),
        key_aliases = key_aliases.join(", "),
        ranks = ranks.join(" "),
        update = Op::Update.rank(),
        truncate = Op::Truncate.letter(),
        on_place = on(name, &position),
        on_position = on(&position, &latest),
        on_mirror = on(name, &latest),
        set_place = set(&place),
        placed = list(placed.iter().copied()),
        placed_values = values(&placed),
        // A table of keys only has nothing to set but its keys, which are equal.
        set_columns = set(if others.is_empty() { &columns } else { &others }),
        column_values = values(&columns),
    )
}

/// A column of a decoded record, cast to its Redshift type.
fn value(row: &str, column: &str, kind: ColumnType) -> String {
    let path = format!("{row}.{}", ident(column));
    let text = format!("{path}::varchar(65535)");
    match kind {
        ColumnType::Bit => format!("{path}::boolean"),
        ColumnType::TinyInt | ColumnType::SmallInt => format!("{path}::smallint"),
        ColumnType::Int => format!("{path}::integer"),
        ColumnType::BigInt => format!("{path}::bigint"),
        ColumnType::Real => format!("{path}::real"),
        ColumnType::Float => format!("{path}::double precision"),
        // Decimals and times travel as text, so that no float and no local time comes between.
        ColumnType::Decimal { precision, scale } => format!("{text}::decimal({precision},{scale})"),
        ColumnType::Date => format!("{text}::date"),
        ColumnType::DateTime2 { .. } => format!("{text}::timestamp"),
        ColumnType::DateTimeOffset => format!("{text}::timestamptz"),
        ColumnType::Text { .. } | ColumnType::UniqueIdentifier => text,
        ColumnType::VarBinary { .. } => format!("TO_VARBYTE({text}, 'hex')"),
    }
}
