//! The invariants over whole tables: what a person runs who wants to know, and what costs as much as a full
//! build without writing.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use futures::StreamExt;
use weir_core::name::ModelName;
use weir_core::zone::Zone;
use weir_lake::{DataFile, Lake, Table};
use weir_project::{Model, ModelKind, Project};

use crate::aggregate_query::recomputed;
use crate::aggregate_table::Inputs;
use crate::bucket::{Plan, Stored};
use crate::calendar::filled;
use crate::dimension_table::whole_bucket;
use crate::error::{CuratedError, of};
use crate::index::{Index, Indexes};
use crate::invariant::Broken;
use crate::layout::{history_name, state_name};
use crate::mention::all_mentions;
use crate::room::{Room, Touched, named, of_curated};
use crate::{date_table, fact_table};

/// A broken invariant and some of the keys that break it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The curated table.
    pub table: ModelName,
    /// Which invariant.
    pub broken: Broken,
    /// How many rows break it.
    pub count: u64,
    /// Some business keys; `(personal)` where a key column is personal data.
    pub keys: Vec<String>,
}

/// Recomputes every curated table from its history and compares; looks for keys that are doubled or lead
/// nowhere. Empty when all is well.
pub async fn check(project: &Project, lake: &Lake) -> Result<Vec<Violation>, CuratedError> {
    check_in(&Room::new(project, lake)).await
}

pub(crate) async fn check_in(room: &Room) -> Result<Vec<Violation>, CuratedError> {
    let mut histories: BTreeMap<ModelName, Table> = BTreeMap::new();
    let mut tables: BTreeMap<ModelName, Table> = BTreeMap::new();
    for model in room.models.iter() {
        let Some(table) = room.lake.table(Zone::Curated, model.name.as_str()).await? else { continue };
        if model.source.is_some() {
            let name = history_name(&model.name);
            let unfinished = || CuratedError::Unfinished { model: model.name.clone() };
            let history = room.lake.table(Zone::Curated, &name).await?.ok_or_else(unfinished)?;
            room.refuse_changed(model, &history)?;
            if room.stale(model, &table) || table.position(&of_curated(&name)) != Some(history.version()) {
                return Err(unfinished());
            }
            histories.insert(model.name.clone(), history);
        }
        tables.insert(model.name.clone(), table);
    }
    let room = &room.with_members(&histories).await?;
    let mut mentions = all_mentions(room, &histories).await?;
    let mut violations = Vec::new();
    let mut indexes = Indexes::new();
    for model in room.models.iter() {
        let Some(table) = tables.get(&model.name) else { continue };
        match &model.kind {
            ModelKind::Dimension { surrogate_key, .. } => {
                let mentioned = mentions.keys.remove(&model.name).unwrap_or_default();
                let mut mentioned = mentioned.by_bucket(model, room.buckets).map_err(of(&model.name))?;
                for bucket in 0..room.buckets {
                    let keys = mentioned.remove(&bucket).unwrap_or_default();
                    let plan = whole_bucket(room, model, &histories, table, bucket, keys).await;
                    note(room, model, plan, &mut violations)?;
                }
                doubled(model, table, surrogate_key.as_str(), &mut violations).await?;
                indexes.extend(Index::new(room, model, table.clone()).map(|index| (model.name.clone(), index)));
            }
            ModelKind::DateDimension => {
                let missing = filled(&mentions.years) != date_table::years(model, table).await?;
                violations.extend(missing.then(|| Violation {
                    table: model.name.clone(),
                    broken: Broken::Differs,
                    count: 1,
                    keys: vec!["year".to_owned()],
                }));
            }
            ModelKind::Fact { .. } | ModelKind::Aggregate { .. } | ModelKind::View { .. } => {}
        }
    }
    let dates = dates(room, &tables).await?;
    for model in room.facts() {
        let (Some(table), Some(history)) = (tables.get(&model.name), histories.get(&model.name)) else { continue };
        for bucket in 0..room.buckets {
            let files = table.files_in(weir_lake::Partition::Bucket(bucket)).cloned().collect();
            let plan = fact_table::plan(room, model, history, &indexes, table, (bucket, files, Touched::All)).await;
            note(room, model, plan, &mut violations)?;
        }
        violations.extend(without_date(room, model, table, &dates).await?);
    }
    for model in room.aggregates() {
        let (Some(table), Some(inputs)) = (tables.get(&model.name), Inputs::new(model, &tables)) else { continue };
        let unfinished = || CuratedError::Unfinished { model: model.name.clone() };
        let state = room.lake.table(Zone::Curated, &state_name(&model.name)).await?.ok_or_else(unfinished)?;
        room.refuse_changed(model, &state)?;
        let current = !room.stale(model, table) && table.position(&of_curated(state.name())) == Some(state.version());
        if !inputs.are_in(&state) || !current {
            // Said already where a table that it reads is wrong.
            if violations.is_empty() {
                return Err(unfinished());
            }
            continue;
        }
        let plan = added_up(room, model, table, &inputs).await;
        note(room, model, plan, &mut violations)?;
    }
    Ok(violations)
}

/// An aggregate against its query over the whole fact, by the engine's own sums.
async fn added_up(room: &Room, model: &Model, table: &Table, inputs: &Inputs<'_>) -> Result<Plan, CuratedError> {
    let wanted = recomputed(&room.lake, model, &inputs.tables()).await?;
    let files: Vec<DataFile> = table.files().cloned().collect();
    let stored = Stored::read(model, table, files, &Touched::All, None, |_, _| Ok(())).await?;
    let difference = fact_table::differs(room, model, &stored.rows, &wanted)?;
    Ok(Plan { stored, wanted, difference })
}

/// Keeps what is wrong with the table; an error that is none of the table's goes on.
fn note(
    room: &Room,
    model: &Model,
    plan: Result<Plan, CuratedError>,
    violations: &mut Vec<Violation>,
) -> Result<(), CuratedError> {
    let table = model.name.clone();
    let plan = match plan {
        Ok(plan) if plan.difference.is_empty() => return Ok(()),
        Ok(plan) => plan,
        Err(CuratedError::Violation { broken, count, keys, .. }) => {
            violations.push(Violation { table, broken, count: count as u64, keys });
            return Ok(());
        }
        Err(CuratedError::Collision { key, .. }) => {
            violations.push(Violation { table, broken: Broken::Doubled, count: 1, keys: vec![key] });
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let keys = |rows: &RecordBatch| named(rows, model).map_err(of(&model.name));
    let shown = |keys: &[ArrayRef], rows: &[u32]| room.shown(model, keys, rows.iter().map(|row| *row as usize));
    let mut shown_keys = shown(&keys(&plan.wanted)?, &plan.difference.upserts);
    shown_keys.extend(shown(&keys(&plan.stored.rows)?, &plan.difference.deletes));
    shown_keys.dedup();
    let count = (plan.difference.upserts.len() + plan.difference.deletes.len()) as u64;
    violations.push(Violation { table, broken: Broken::Differs, count, keys: shown_keys });
    Ok(())
}

/// Surrogate keys that stand in more than one row.
async fn doubled(
    model: &Model,
    table: &Table,
    surrogate_key: &str,
    violations: &mut Vec<Violation>,
) -> Result<(), CuratedError> {
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut rows = table.read(&files, Some(&[surrogate_key]))?;
    let mut seen = HashSet::new();
    let mut twice: Vec<i64> = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        twice.extend(
            batch.column(0).as_primitive::<Int64Type>().values().iter().filter(|key| !seen.insert(**key)).copied(),
        );
    }
    if !twice.is_empty() {
        let keys = twice.iter().take(5).map(ToString::to_string).collect();
        let (table, count) = (model.name.clone(), twice.len() as u64);
        violations.push(Violation { table, broken: Broken::Doubled, count, keys });
    }
    Ok(())
}

/// All keys of the date dimension.
async fn dates(room: &Room, tables: &BTreeMap<ModelName, Table>) -> Result<Option<HashSet<i32>>, CuratedError> {
    let model = room.models.iter().find(|model| matches!(model.kind, ModelKind::DateDimension));
    let Some(table) = model.and_then(|model| tables.get(&model.name)) else { return Ok(None) };
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut keys = HashSet::new();
    for batch in table.read_all(&files, Some(&["date_key"])).await? {
        keys.extend(batch.column(0).as_primitive::<Int32Type>().values().iter().copied());
    }
    Ok(Some(keys))
}

/// Facts with a date key that the date dimension lacks.
async fn without_date(
    room: &Room,
    model: &Model,
    table: &Table,
    dates: &Option<HashSet<i32>>,
) -> Result<Option<Violation>, CuratedError> {
    let (ModelKind::Fact { date_keys, .. }, Some(dates)) = (&model.kind, dates) else { return Ok(None) };
    let mut columns: Vec<&str> = date_keys.iter().map(|key| key.key_column.as_str()).collect();
    let keys = columns.len();
    columns.extend(model.key.iter().map(|name| name.as_str()));
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut rows = table.read(&files, Some(&columns))?;
    let (mut count, mut shown) = (0, Vec::new());
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        for column in &batch.columns()[..keys] {
            let column = column.as_primitive::<Int32Type>();
            let lost: Vec<usize> = (0..column.len()).filter(|row| !dates.contains(&column.value(*row))).collect();
            count += lost.len() as u64;
            if shown.is_empty() && !lost.is_empty() {
                shown = room.shown(model, &batch.columns()[keys..], lost.into_iter());
            }
        }
    }
    let violation = || Violation { table: model.name.clone(), broken: Broken::Unresolved, count, keys: shown };
    Ok((count > 0).then(violation))
}
