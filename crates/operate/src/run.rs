//! The stages, each run once from where it stands to the end of what is there.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::Array;
use tokio::task::JoinSet;
use weir_core::diagnosis::{Diagnosed, Retry};
use weir_core::name::{Identifier, TableName};
use weir_curated::BuildReport;
pub use weir_curated::{Cells, Miss, Restate, reach};
use weir_landing::start::Gap;
use weir_landing::{Landed, Until};
use weir_project::Selection;
use weir_source::Source;
use weir_source::replay::{self, Options};
use weir_staging::{Staged, Stager};
use weir_stream::Consumer;
use weir_warehouse::load::{self, Loaded, migrations};
use weir_warehouse::mirror::{Advanced, Mirrors};

use crate::error::OperateError;
use crate::site::Site;
use crate::warehouse::{self, Target};

/// Sends what the topics do not hold yet of a source. `progress` hears the number of records that are there.
pub async fn replay(
    site: &Site,
    source: Arc<Source>,
    events_per_second: u32,
    mut progress: impl FnMut(u64) -> ControlFlow<()> + Send + 'static,
) -> Result<replay::Progress, Diagnosed> {
    let options = Options {
        partitions: site.project.stream.partitions,
        retention: site.project.stream.retention,
        dir: Some(site.dir.clone()),
        events_per_second,
    };
    let target =
        replay::Target { connection: site.services.connection.clone(), registry: site.services.registry.clone() };
    let tables: Arc<[weir_project::Table]> = site.project.tables.clone().into();
    Ok(replay::replay(source, tables, options, target, move |at| progress(at.skipped + at.produced)).await?)
}

/// Makes the topics that are missing, with the project's partitions and retention.
pub async fn ensure_topics(site: &Site) -> Result<(), Diagnosed> {
    let admin = weir_stream::Admin::new(&site.services.connection)?;
    for table in &site.project.tables {
        let stream = &site.project.stream;
        admin.ensure_topic(&table.topic, stream.partitions, stream.retention).await?;
    }
    Ok(())
}

/// What landing did to each table, in the project's order.
pub type Landings = Vec<(TableName, Result<Landed, Diagnosed>)>;

/// Lands every topic; all tables at the same time. A table that stops leaves the others alone; but where `until` is for
/// ever, an error that may pass by itself ends all, for whoever starts this process again, and so does a schema change of a
/// table that says `stop`.
pub async fn land(site: &Site, until: &Until) -> Result<Landings, Diagnosed> {
    let (until, stop) = match until {
        Until::CaughtUp => (Until::CaughtUp, None),
        Until::Forever(asked) => {
            let stop = asked.child_token();
            (Until::Forever(stop.clone()), Some(stop))
        }
    };
    let mut workers = JoinSet::new();
    for table in &site.project.tables {
        let (table, settings) = (table.clone(), site.project.landing.clone());
        let (lake, until) = (site.lake.clone(), until.clone());
        let (connection, registry) = (site.services.connection.clone(), site.services.registry.clone());
        let group = group(&site.project.name, &table.name, site.lake.location());
        workers.spawn(async move {
            let landed = async {
                // A copy's positions are none that the lake's group may hear of.
                let feed = match lake.is_scratch() {
                    true => Consumer::new(&connection, &table.topic)?,
                    false => Consumer::of_group(&connection, &table.topic, &group)?,
                };
                let source = weir_landing::Source { feed, schemas: registry };
                Ok::<_, Diagnosed>(weir_landing::land(&table, &settings, &lake, source, until).await?)
            };
            let landed = landed.await;
            (table.name, landed)
        });
    }
    let mut landings = Landings::new();
    while let Some(worker) = workers.join_next().await {
        let (table, landed) = worker.map_err(|source| OperateError::Worker { source })?;
        if let (Err(error), Some(stop)) = (&landed, &stop) {
            tracing::error!(%table, code = %error.diagnosis.code, "landing stops: {}", error.messages().join(": "));
            if error.diagnosis.retry == Retry::Later || error.diagnosis.code == weir_landing::STOPS_ALL {
                stop.cancel();
            }
        }
        landings.push((table, landed));
    }
    let place = |name: &TableName| site.project.tables.iter().position(|table| table.name == *name);
    landings.sort_by_key(|(name, _)| place(name));
    Ok(landings)
}

/// The tables' reports, or the first table's error.
pub fn all_landed(landings: Landings) -> Result<Vec<(TableName, Landed)>, Diagnosed> {
    landings.into_iter().map(|(table, landed)| landed.map(|landed| (table, landed))).collect()
}

/// The consumer group whose members share a table's topic: one for each lake, for in a group of two lakes each would
/// get half of the records.
pub(crate) fn group(pipeline: &Identifier, table: &TableName, location: &str) -> String {
    let lake = weir_core::key_hash::bytes(0, location.as_bytes());
    format!("weir.{pipeline}.{table}.{lake:016x}")
}

/// Goes over the gaps between a table and its topic, and says which those were.
pub async fn accept_gap(site: &Site, table: &weir_project::Table) -> Result<Vec<Gap>, Diagnosed> {
    let feed = Consumer::new(&site.services.connection, &table.topic)?;
    Ok(weir_landing::accept_gap(table, &site.project.landing, &site.lake, feed).await?)
}

/// Stages what has landed. A `stager` that is kept remembers the values that others refer to.
pub async fn stage(site: &Site, stager: &mut Stager) -> Result<Vec<(TableName, Staged)>, Diagnosed> {
    Ok(stager.run(&site.project, &site.lake).await?)
}

/// Builds and publishes what was staged.
pub async fn build(site: &Site) -> Result<BuildReport, Diagnosed> {
    Ok(weir_curated::build(&site.project, &site.lake).await?)
}

/// As [`build`], where only the selected models take in new staging rows.
pub async fn build_selected(site: &Site, selection: &Selection) -> Result<BuildReport, Diagnosed> {
    Ok(weir_curated::build_selected(&site.project, &site.lake, selection).await?)
}

/// Recomputes every curated table from its history; what differs or breaks an invariant is named.
pub async fn check(
    project: &weir_project::Project,
    lake: &weir_lake::Lake,
) -> Result<Vec<weir_curated::Violation>, Diagnosed> {
    Ok(weir_curated::check(project, lake).await?)
}

/// Runs one unit test of a model, apart from any lake; it has passed when nothing comes back.
pub async fn unit_test(project: &weir_project::Project, test: &weir_project::UnitTest) -> Result<Vec<Miss>, Diagnosed> {
    Ok(weir_curated::unit_test(project, test).await?)
}

/// What a restatement would change, table by table.
pub async fn plan_restatement(
    project: &weir_project::Project,
    lake: &weir_lake::Lake,
    wanted: &Restate,
) -> Result<Vec<weir_curated::TableDiff>, Diagnosed> {
    Ok(weir_curated::plan_restatement(project, lake, wanted).await?)
}

/// Rebuilds models' histories from staging and publishes the result.
pub async fn restate(
    project: &weir_project::Project,
    lake: &weir_lake::Lake,
    wanted: &Restate,
) -> Result<BuildReport, Diagnosed> {
    Ok(weir_curated::restate(project, lake, wanted).await?)
}

/// Every published build, oldest first.
pub async fn builds(lake: &weir_lake::Lake) -> Result<Vec<weir_curated::Build>, Diagnosed> {
    Ok(weir_curated::builds(lake).await?)
}

/// The columns and rows of one query over the tables of a published build, as JSON.
pub async fn query_at(
    lake: &weir_lake::Lake,
    build: u64,
    sql: &str,
) -> Result<(Vec<String>, Vec<Vec<serde_json::Value>>), Diagnosed> {
    let (schema, batches) = weir_curated::query_at(lake, build, sql).await?;
    let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
    let shown = |source: arrow::error::ArrowError| OperateError::Unreadable {
        zone: "curated",
        table: format!("build {build}"),
        source: Box::new(source),
    };
    let mut rows = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| cell(column, row));
            rows.push(cells.collect::<Result<_, _>>().map_err(shown)?);
        }
    }
    Ok((columns, rows))
}

/// Integers and truth as JSON holds them, all else as text, so that no digit is lost.
fn cell(column: &arrow::array::ArrayRef, row: usize) -> Result<serde_json::Value, arrow::error::ArrowError> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    if column.is_null(row) {
        return Ok(serde_json::Value::Null);
    }
    let text = ArrayFormatter::try_new(column, &FormatOptions::default())?.value(row).try_to_string()?;
    let kind = column.data_type();
    Ok(match text.parse::<i64>() {
        Ok(number) if kind.is_integer() => number.into(),
        _ if *kind == arrow::datatypes::DataType::Boolean => (text == "true").into(),
        _ => text.into(),
    })
}

/// A time in microseconds since 1970 as text, UTC.
pub fn time_text(micros: i64) -> String {
    weir_core::value::Value::Timestamp(micros).to_string()
}

/// What a load did.
#[derive(Debug, Default)]
pub struct Load {
    /// The builds that were loaded.
    pub builds: Vec<Loaded>,
    /// The migrations that were applied, by name.
    pub migrations: Vec<String>,
}

/// Loads every published build that the warehouse does not have; then, once it has one, migrations, which may speak of its
/// tables.
pub async fn load(site: &Site, target: &Target) -> Result<Load, Diagnosed> {
    let (project, lake) = (site.project.clone(), warehouse::lake_files(site));
    let (target, values) = (target.clone(), warehouse::placeholders(site).await?);
    blocking(move || {
        let mut connection = target.connect()?;
        let builds = load::apply_pending(&mut *connection, &project, &lake, &values)?;
        let migrations = match builds.is_empty() && load::last_build(&mut *connection)? == 0 {
            true => Vec::new(),
            false => migrations::apply_pending(&mut *connection, &project, &values)?,
        };
        Ok(Load { builds, migrations })
    })
    .await
}

/// Refreshes the streaming views and applies what is new to the mirrors; none where the project keeps no mirrors.
pub async fn refresh(site: &Site, target: &Target) -> Result<Option<Advanced>, Diagnosed> {
    if !site.project.warehouse.mirrors {
        return Ok(None);
    }
    let (project, values, target) = (site.project.clone(), warehouse::placeholders(site).await?, target.clone());
    blocking(move || {
        let mut mirrors = Mirrors::prepare(target.connect()?, &project, &values)?;
        Ok(Some(mirrors.advance(&AtomicBool::new(false))?))
    })
    .await
}

/// Runs what blocks on a thread of its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Diagnosed> + Send + 'static,
) -> Result<T, Diagnosed> {
    tokio::task::spawn_blocking(work).await.map_err(|source| OperateError::Worker { source })?
}

#[cfg(test)]
mod tests {
    use weir_lake::S3;

    use super::*;

    /// The infrastructure names groups too: a name that changes leaves its roles, alarms and scaling behind.
    #[test]
    fn a_lake_has_one_group_for_each_table_with_or_without_a_slash_at_its_end() {
        let [shop, order] = ["shop", "order"].map(|name| name.parse::<Identifier>().expect("a name"));
        for url in ["s3://shop-lake/zones", "s3://shop-lake/zones/"] {
            let name = group(&shop, &order, &S3::of_url(url).location());
            assert_eq!(name, "weir.shop.order.7616aad3cfaa7d6d", "{url}");
        }
    }
}
