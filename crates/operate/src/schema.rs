//! What a writer schema will do to a table before its first record comes: to landing by the table's policy, and to every
//! column behind.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema};
use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_core::zone::Zone;
use weir_envelope::decode::part_schema;
use weir_envelope::tree::Envelope;
use weir_lake::{ColumnChange, Lake, column_changes};
use weir_project::{Project, SchemaChanges, Table};
use weir_warehouse::mirror::view_name;

use crate::Site;
use crate::lineage::{Direction, Field, Lineage, Place};
use crate::run;

/// How a column differs from what landing's table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Added,
    /// It no longer comes.
    Dropped,
    /// Its new type holds every value of the old one.
    Widened,
    /// Its old type holds every value of the new one.
    Narrowed,
    /// Neither holds the other's values.
    Incompatible,
    /// The whole schema cannot be read as a change event.
    Unreadable,
}

impl Kind {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Dropped => "dropped",
            Self::Widened => "widened",
            Self::Narrowed => "narrowed",
            Self::Incompatible => "incompatible",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What becomes of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: TableName,
    /// The column, with its parents; none where it is the whole schema.
    pub column: Option<String>,
    /// How it differs.
    pub kind: Kind,
    /// Its type in landing, or in the contract where nothing has landed.
    pub was: Option<String>,
    /// The type that comes.
    pub becomes: Option<String>,
    /// What Weir will do.
    pub effect: String,
    /// Whether records stop, or are kept out, because of it.
    pub breaks: bool,
    /// Everything behind that reads the column.
    pub reaches: Vec<String>,
}

/// The newest value schema of each table's subject, where the registry has one.
pub async fn newest(site: &Site, only: Option<&TableName>) -> Result<BTreeMap<TableName, String>, Diagnosed> {
    let registry = site.services.registry.clone();
    let tables: Vec<_> =
        site.project.tables.iter().filter(|table| only.is_none_or(|only| table.name == *only)).cloned().collect();
    run::blocking(move || {
        let mut found = BTreeMap::new();
        for table in tables {
            if let Some(text) = registry.latest(&table.value_subject())? {
                found.insert(table.name, text);
            }
        }
        Ok(found)
    })
    .await
}

/// What these writer schemas change, in the project's order.
pub async fn compare(
    project: &Project,
    lake: &Lake,
    writers: &BTreeMap<TableName, String>,
) -> Result<Vec<Change>, Diagnosed> {
    let lineage = Lineage::of(project).await?;
    let mut found = Vec::new();
    for table in &project.tables {
        let Some(writer) = writers.get(&table.name) else { continue };
        let landed = lake.table(Zone::Landing, table.name.as_str()).await?;
        let landed = landed.as_ref().map(|landed| landed.schema().as_ref());
        found.extend(changes(table, landed, writer, &lineage));
    }
    Ok(found)
}

/// What this writer schema changes in a table, of which `landed` has the columns; column by column.
fn changes(table: &Table, landed: Option<&Schema>, writer: &str, lineage: &Lineage<'_>) -> Vec<Change> {
    let envelope = match Envelope::parse(0, writer) {
        Ok(envelope) => envelope,
        Err(error) => {
            let every = table.columns.iter().flat_map(|column| reaches(table, column.name.as_str(), lineage));
            return vec![Change {
                table: table.name.clone(),
                column: None,
                kind: Kind::Unreadable,
                was: None,
                becomes: None,
                effect: format!("every record becomes a dead letter: {}", problem(&error)),
                breaks: true,
                reaches: every.collect::<BTreeSet<_>>().into_iter().collect(),
            }];
        }
    };
    let given = image(&part_schema(&envelope)).unwrap_or_default();
    let found = match landed.and_then(image) {
        Some(stored) => column_changes(&Schema::new(stored), &Schema::new(given)),
        // Nothing has landed: only what the contract waits for can be missing.
        None => missing(table, &given),
    };
    found.into_iter().map(|change| judged(table, change, lineage)).collect()
}

/// The columns of the row image.
fn image(schema: &Schema) -> Option<Fields> {
    match schema.field_with_name("after").ok()?.data_type() {
        DataType::Struct(fields) => Some(fields.clone()),
        _ => None,
    }
}

fn missing(table: &Table, given: &Fields) -> Vec<ColumnChange> {
    let gone = table.columns.iter().filter(|column| given.find(column.name.as_str()).is_none());
    let change = |column: &weir_core::column::Column| ColumnChange {
        column: column.name.to_string(),
        stored: Some(weir_lake::arrow_type(column.kind)),
        given: None,
    };
    gone.map(change).collect()
}

fn judged(table: &Table, change: ColumnChange, lineage: &Lineage<'_>) -> Change {
    let root = change.column.split('.').next().unwrap_or_default();
    let declared = table.column(root);
    let is_key = table.key.iter().any(|key| key.as_str() == root);
    let held = match table.schema_changes {
        SchemaChanges::Evolve => None,
        SchemaChanges::Hold => Some("the table is held at its position, others go on"),
        SchemaChanges::Stop => Some("landing of all tables ends"),
    };
    let (kind, effect, breaks) = match (&change.stored, &change.given) {
        (Some(was), Some(becomes)) => {
            let effect = held.unwrap_or("landing of the table stops: a column keeps its type");
            (compared(was, becomes), effect, true)
        }
        (Some(_), None) => match declared {
            Some(_) if is_key => (Kind::Dropped, "every record becomes a dead letter: it is of the key", true),
            Some(column) if !column.nullable => {
                (Kind::Dropped, "rows go to quarantine: the contract does not let it be NULL", true)
            }
            Some(_) => (Kind::Dropped, "NULL from now on", false),
            None => (Kind::Dropped, "NULL in landing from now on; the contract does not have it", false),
        },
        (None, _) => match (held, declared) {
            (Some(held), _) => (Kind::Added, held, true),
            (None, Some(_)) => (Kind::Added, "landing takes it in, staging reads it", false),
            (None, None) => (Kind::Added, "landing takes it in; the contract does not have it", false),
        },
    };
    Change {
        table: table.name.clone(),
        kind,
        was: change.stored.map(|kind| kind.to_string()),
        becomes: change.given.map(|kind| kind.to_string()),
        effect: effect.to_owned(),
        breaks,
        reaches: if declared.is_some() { reaches(table, root, lineage) } else { Vec::new() },
        column: Some(change.column),
    }
}

/// The contract and what it says of a column of its own, then every column that is made of it.
fn reaches(table: &Table, column: &str, lineage: &Lineage<'_>) -> Vec<String> {
    let mut out = vec![format!("contract {}", table.name)];
    let rules = table.expectations.iter().filter(|rule| rule.column.as_str() == column);
    out.extend(rules.map(|rule| format!("expectation {}", rule.name)));
    out.push(format!("streaming view staging.{}", view_name(table)));
    let from = [Field::new(Place::Topic, table.name.as_str(), format!("after.{column}"))];
    let behind = [Place::Staging, Place::Mirror, Place::Curated, Place::Analytics];
    let fields: BTreeSet<&Field> =
        lineage.reached(&from, Direction::Downstream).into_iter().map(|edge| &edge.to).collect();
    for place in behind {
        out.extend(fields.iter().filter(|field| field.place == place).map(|field| lineage.shown(field)));
    }
    out
}

/// Which of two types holds the values of the other.
fn compared(was: &DataType, becomes: &DataType) -> Kind {
    match (holds(becomes, was), holds(was, becomes)) {
        (true, _) => Kind::Widened,
        (false, true) => Kind::Narrowed,
        (false, false) => Kind::Incompatible,
    }
}

/// Whether every value of one type is one of the wider type, exactly.
fn holds(wide: &DataType, narrow: &DataType) -> bool {
    use DataType::{Boolean, Date32, Decimal128, Float32, Float64, Int16, Int32, Int64, Timestamp};
    match (wide, narrow) {
        (Int64, Int16 | Int32) | (Int32, Int16) => true,
        (Float64, Float32 | Int16 | Int32) | (Float32, Int16) => true,
        (Decimal128(p, s), Decimal128(q, t)) => {
            s >= t && i16::from(*p) - i16::from(*s) >= i16::from(*q) - i16::from(*t)
        }
        (Decimal128(p, s), Int16 | Int32 | Int64) => {
            let digits = match narrow {
                Int16 => 5,
                Int32 => 10,
                _ => 19,
            };
            i16::from(*p) - i16::from(*s) >= digits
        }
        (Int16 | Int32 | Int64, Boolean) | (Timestamp(..), Date32) => true,
        (DataType::List(wide), DataType::List(narrow)) => holds_field(wide, narrow),
        _ => false,
    }
}

fn holds_field(wide: &ArrowField, narrow: &ArrowField) -> bool {
    wide.data_type() == narrow.data_type() || holds(wide.data_type(), narrow.data_type())
}

/// An error without the id that the schema does not have here.
fn problem(error: &weir_envelope::EnvelopeError) -> String {
    error.to_string().replacen("schema 0 ", "it ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_wider_when_it_holds_every_value_of_the_other() {
        use DataType::{Boolean, Decimal128, Float32, Float64, Int16, Int32, Int64, Utf8};
        for (was, becomes) in [
            (Int32, Int64),
            (Int16, Float32),
            (Float32, Float64),
            (Boolean, Int32),
            (Decimal128(10, 2), Decimal128(12, 3)),
            (Int32, Decimal128(12, 2)),
        ] {
            assert_eq!(compared(&was, &becomes), Kind::Widened, "{was} {becomes}");
            assert_eq!(compared(&becomes, &was), Kind::Narrowed, "{was} {becomes}");
        }
        for (was, becomes) in
            [(Int32, Utf8), (Int64, Float64), (Decimal128(10, 2), Decimal128(10, 3)), (Int64, Decimal128(19, 1))]
        {
            assert_eq!(compared(&was, &becomes), Kind::Incompatible, "{was} {becomes}");
        }
    }
}
