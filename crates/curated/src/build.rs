//! One build: from the new staging rows to a publication.
//!
//! The order is what makes a kill harmless: histories, dimensions, the date dimension, facts, aggregates,
//! then the publication. Every table's commit holds its own input's positions, so the next build finds for
//! every table what is left to do, and an interrupted one converges to what an uninterrupted one gives.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::name::ModelName;
use weir_lake::{Lake, Table};
use weir_project::{ModelKind, Project, Selection};

use crate::dimension_table::Mentioned;
use crate::error::CuratedError;
use crate::history::{self, Taken};
use crate::index::{Index, Indexes};
use crate::mention::{all_mentions, new_mentions};
use crate::publish::{draft, publish};
use crate::report::{BuildReport, TableReport};
use crate::room::Room;
use crate::{aggregate_table, committed, date_table, dimension_table, fact_table};

/// Brings every curated table up to the staging tables' newest versions and publishes the result.
///
/// Afterwards the newest publication describes exactly these versions. A build that finds nothing new writes
/// nothing. One build at a time: a second one is refused by a commit conflict, and loses nothing.
#[tracing::instrument(name = "curated.build", skip_all, fields(stage = "curated"))]
pub async fn build(project: &Project, lake: &Lake) -> Result<BuildReport, CuratedError> {
    build_in(&Room::new(project, lake)).await
}

/// As [`build`], but only the selected models take in new staging rows.
///
/// The publication still names every table and is whole: a dimension that is not selected gets the inferred members
/// that a selected fact needs, and a fact that is not selected is pointed anew where versions have changed.
#[tracing::instrument(name = "curated.build", skip_all, fields(stage = "curated"))]
pub async fn build_selected(
    project: &Project,
    lake: &Lake,
    selection: &Selection,
) -> Result<BuildReport, CuratedError> {
    build_in(&Room::new(project, lake).only(selection)).await
}

pub(crate) async fn build_in(room: &Room) -> Result<BuildReport, CuratedError> {
    let mut histories: BTreeMap<ModelName, Table> = BTreeMap::new();
    let mut taken: BTreeMap<ModelName, Taken> = BTreeMap::new();
    for model in room.models.iter().filter(|model| model.source.is_some()) {
        let (table, counts) = match room.takes(model) {
            true => history::append(room, model).await?,
            false => (room.history(model).await?, Taken::default()),
        };
        histories.insert(model.name.clone(), table);
        taken.insert(model.name.clone(), counts);
    }
    let room = &room.with_members(&histories).await?;
    // A fact of an older definition may mention other keys than it did, so what all facts mention counts.
    let mut renewed: BTreeSet<&ModelName> = BTreeSet::new();
    let mut renewed_dates = false;
    for model in room.facts() {
        if let ModelKind::Fact { dimensions, date_keys, .. } = &model.kind
            && room.stale(model, &room.table(model).await?)
        {
            renewed.extend(dimensions.iter().map(|pointer| &pointer.dimension));
            renewed_dates = renewed_dates || !date_keys.is_empty();
        }
    }
    let mut mentions = if renewed.is_empty() && !renewed_dates {
        new_mentions(room, &histories).await?
    } else {
        all_mentions(room, &histories).await?
    };

    let mut tables: BTreeMap<ModelName, Table> = BTreeMap::new();
    let mut reports: BTreeMap<ModelName, TableReport> = BTreeMap::new();
    let mut indexes = Indexes::new();
    for model in room.models.iter() {
        let (table, report) = match model.kind {
            ModelKind::Dimension { .. } => {
                let keys = mentions.keys.remove(&model.name).unwrap_or_default();
                let mentioned = Mentioned { keys, all: renewed.contains(&model.name) };
                let built = dimension_table::build(room, model, &histories, mentioned).await?;
                indexes.extend(Index::new(room, model, built.0.clone()).map(|index| (model.name.clone(), index)));
                built
            }
            ModelKind::DateDimension => {
                date_table::build(room, model, &std::mem::take(&mut mentions.years), renewed_dates).await?
            }
            ModelKind::Fact { .. } | ModelKind::Aggregate { .. } | ModelKind::View { .. } => continue,
        };
        reports.insert(model.name.clone(), report);
        tables.insert(model.name.clone(), table);
    }
    for model in room.facts() {
        let Some(history) = histories.get(&model.name) else { continue };
        let (table, report) = fact_table::build(room, model, history, &indexes).await?;
        reports.insert(model.name.clone(), report);
        tables.insert(model.name.clone(), table);
    }

    for model in room.aggregates() {
        if let Some((table, report)) = aggregate_table::build(room, model, &tables).await? {
            reports.insert(model.name.clone(), report);
            tables.insert(model.name.clone(), table);
        }
    }

    let published = match draft(room, &tables).await? {
        Some(draft) => {
            committed::verify(room, &tables, &indexes, &draft).await?;
            Some(publish(&room.lake, draft).await?)
        }
        None => None,
    };
    let mut report = BuildReport { tables: Vec::new(), published };
    for model in room.models.iter() {
        let Some(mut table) = reports.remove(&model.name) else { continue };
        let counts = taken.get(&model.name).copied().unwrap_or_default();
        (table.read, table.keyless, table.traffic) = (counts.read, counts.keyless, counts.traffic);
        for own in histories.get(&model.name).into_iter().chain(tables.get(&model.name)) {
            table.traffic += own.traffic();
        }
        tracing::info!(table = %table.table, version = table.version, read = table.read, upserts = table.upserts, deletes = table.deletes, "built");
        report.tables.push(table);
    }
    Ok(report)
}
