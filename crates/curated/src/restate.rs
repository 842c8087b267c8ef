//! Restating: a model's history read anew from staging in today's definition, and everything behind it with it.
//!
//! The history is swapped in one commit. The build behind it finds a table of an older definition than its
//! history and computes it anew as a whole; so does the next build, should this one be killed in between.

use std::collections::BTreeSet;

use weir_core::name::ModelName;
use weir_core::publication::Publication;
use weir_core::zone::Zone;
use weir_lake::Lake;
use weir_project::{Model, ModelKind, Project};

use crate::aggregate::AggregateSpec;
use crate::build::build_in;
use crate::error::CuratedError;
use crate::history;
use crate::layout::{history_name, load_key};
use crate::publish::latest;
use crate::report::BuildReport;
use crate::room::Room;
use crate::table_diff::{TableDiff, diff};

/// What is to be restated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restate {
    /// Models, by name; none: every model whose definition changed.
    pub models: Vec<ModelName>,
    /// Microseconds since 1970 UTC: changes with an earlier commit time keep their history rows as they are.
    pub from: Option<i64>,
}

/// What a restatement would do, table by table: done on a scratch lake, so that nothing here changes.
pub async fn plan_restatement(
    project: &Project,
    lake: &Lake,
    restate: &Restate,
) -> Result<Vec<TableDiff>, CuratedError> {
    plan_in(&Room::new(project, lake), restate).await
}

/// Does it, and publishes the result.
pub async fn restate(project: &Project, lake: &Lake, restate: &Restate) -> Result<BuildReport, CuratedError> {
    restate_in(&Room::new(project, lake), restate).await
}

/// A scratch lake whose curated tables were built from nothing but this lake's staging. History rows that a
/// restatement kept are taken as they are: staging no longer gives them.
///
/// Staging rows that no build has taken would be taken too, so they are refused, unless `even_if_behind`: a staging
/// that somebody changed by hand looks the same.
pub async fn rebuilt(project: &Project, lake: &Lake, even_if_behind: bool) -> Result<Lake, CuratedError> {
    rebuilt_in(&Room::new(project, lake), even_if_behind).await
}

pub(crate) async fn rebuilt_in(room: &Room, even_if_behind: bool) -> Result<Lake, CuratedError> {
    let mut hidden = vec!["curated/_published".to_owned(), "curated/_changes".to_owned()];
    let mut kept = Vec::new();
    for name in room.lake.tables(Zone::Curated).await? {
        hidden.push(format!("curated/{name}"));
    }
    for model in room.models.iter() {
        let name = history_name(&model.name);
        let Some(history) = room.lake.table(Zone::Curated, &name).await? else { continue };
        room.refuse_changed(model, &history)?;
        if !even_if_behind && history::is_behind(room, model, &history).await? {
            return Err(CuratedError::Unfinished { model: model.name.clone() });
        }
        if let Some(from) = history::kept_before(&history) {
            hidden.retain(|folder| *folder != format!("curated/{name}"));
            kept.push((model, from));
        }
    }
    let hidden: Vec<&str> = hidden.iter().map(String::as_str).collect();
    let scratch = room.elsewhere(room.lake.scratch(&hidden).await?);
    for (model, from) in kept {
        history::restate(&scratch, model, Some(from)).await?;
    }
    build_in(&scratch).await?;
    Ok(scratch.lake)
}

pub(crate) async fn plan_in(room: &Room, restate: &Restate) -> Result<Vec<TableDiff>, CuratedError> {
    let scratch = room.elsewhere(room.lake.scratch(&[]).await?);
    restate_in(&scratch, restate).await?;
    let mut diffs = Vec::new();
    let published = latest(&room.lake).await?;
    for model in room.models.iter() {
        let before = room.lake.table(Zone::Curated, model.name.as_str()).await?;
        let after = scratch.lake.table(Zone::Curated, model.name.as_str()).await?;
        if let (Some(before), Some(after)) = (before, after) {
            let same_key = key_of(&published, model).is_none_or(|key| *key == load_key(model));
            diffs.push(diff(room, model, same_key, [&before, &after]).await?);
        }
    }
    Ok(diffs)
}

pub(crate) async fn restate_in(room: &Room, restate: &Restate) -> Result<BuildReport, CuratedError> {
    let named: BTreeSet<&ModelName> = restate.models.iter().collect();
    let is_aggregate = |model: &Model| matches!(model.kind, ModelKind::Aggregate { .. });
    let can_be = |name: &&ModelName| {
        room.models.iter().any(|model| model.name == **name && (model.source.is_some() || is_aggregate(model)))
    };
    if let Some(model) = named.iter().copied().find(|name| !can_be(name)) {
        return Err(CuratedError::NoHistory { model: model.clone() });
    }
    // All that can refuse comes before the first commit.
    let mut chosen: Vec<&Model> = Vec::new();
    for model in room.models.iter().filter(|model| model.source.is_some()) {
        let history = room.history_to_restate(model).await?;
        if named.contains(&model.name) || (named.is_empty() && room.is_changed(model, &history)) {
            if room.has_other_key(model, &history) {
                return Err(CuratedError::KeyChanged { model: model.name.clone() });
            }
            refuse_other_load_key(room, model).await?;
            if history.is_anew() && restate.from.is_some() {
                return Err(CuratedError::KeptColumns { model: model.name.clone() });
            }
            room.table(model).await?;
            chosen.push(model);
        } else {
            room.refuse_changed(model, &history)?;
        }
    }
    // An aggregate has no history: it is added up anew from the fact.
    let mut aggregates: Vec<ModelName> = Vec::new();
    for model in room.aggregates() {
        let Some(spec) = AggregateSpec::new(model) else { continue };
        let state = room.state(model, &spec).await?;
        if named.contains(&model.name) || (named.is_empty() && room.is_changed(model, &state)) {
            // Groups may change with the columns: then the loaded table is made anew, too.
            if !room.table(model).await?.is_anew() {
                refuse_other_load_key(room, model).await?;
            }
            aggregates.push(model.name.clone());
        } else {
            room.refuse_changed(model, &state)?;
        }
    }
    for model in chosen {
        history::restate(room, model, restate.from).await?;
    }
    build_in(&room.clone().restating(aggregates)).await
}

/// What was loaded is known by its key, so that one cannot change.
async fn refuse_other_load_key(room: &Room, model: &Model) -> Result<(), CuratedError> {
    match key_of(&latest(&room.lake).await?, model) {
        Some(key) if *key != load_key(model) => Err(CuratedError::KeyChanged { model: model.name.clone() }),
        _ => Ok(()),
    }
}

/// The key by which a model's rows were published.
fn key_of<'a>(published: &'a Option<Publication>, model: &Model) -> Option<&'a Vec<String>> {
    let table = published.iter().flat_map(|build| &build.tables).find(|table| table.table == model.name);
    table.map(|table| &table.key)
}
