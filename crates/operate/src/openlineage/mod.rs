//! What a build tells of itself: OpenLineage run events, to a file, to a receiver over HTTP, or to both.
//!
//! In: the project, and for each job when it begins and how it ends. Out: events of OpenLineage 2-0-2. Never: a build
//! that fails or waits because a receiver is away; a secret in an event.
//!
//! **A run's id** is a UUID of version 7: the moment of its build's beginning, and for its random part a hash of the job.
//! So the ids of a build follow from its beginning alone and sort by it. They do not follow from what the build takes
//! in: a build that failed and the one that does its work again would then be one run with two ends, which OpenLineage
//! forbids, and a build that finds nothing new would be the run before it.
//!
//! Read first: [`Job`], [`Run`]; `event` is what they say, `sink` where it goes.

mod event;
mod sink;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use weir_core::diagnosis::Diagnosed;
use weir_core::name::{ModelName, TableName};
use weir_curated::{BuildReport, TableReport};
use weir_project::{LakeRoot, ModelKind, Project};
use weir_staging::Staged;
use weir_warehouse::load::Loaded;

use self::event::{Dataset, facet, run_id, statistics};
use self::sink::Sinks;
use crate::lineage::{Field, Lineage, Place};
use crate::run::blocking;
use crate::site::Site;

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// The whole build, parent of the others.
    Build,
    /// A table's way from landing to staging.
    Staging(TableName),
    /// A curated table.
    Curated(ModelName),
    /// The load into the warehouse.
    Load,
}

impl Job {
    /// Its name in its namespace.
    fn name(&self) -> String {
        match self {
            Self::Build => "build".to_owned(),
            Self::Staging(table) => format!("staging.{table}"),
            Self::Curated(model) => format!("curated.{model}"),
            Self::Load => "warehouse.load".to_owned(),
        }
    }
}

/// Tells builds of a site. Made once, for many builds.
pub struct Teller {
    namespace: String,
    jobs: BTreeMap<Job, Shape>,
    /// Rule kinds of each table's expectations, by name.
    rules: BTreeMap<TableName, BTreeMap<String, &'static str>>,
    sinks: Sinks,
}

/// What a job reads and writes, whatever it does today.
#[derive(Default)]
struct Shape {
    inputs: Vec<Dataset>,
    outputs: Vec<Dataset>,
}

impl Teller {
    /// None where the project wants no events. A secret that is not there is an error, a lineage that cannot be followed
    /// is none: it is told, and the events do without it.
    pub async fn new(site: &Site) -> Result<Option<Self>, Diagnosed> {
        let (lineage, dir, vault) = (site.project.lineage.clone(), site.dir.clone(), site.services.vault.clone());
        let Some(sinks) = blocking(move || Sinks::of(&lineage, &dir, &vault)).await? else { return Ok(None) };
        let mut project = site.project.clone();
        if let LakeRoot::Folder(root) = &mut project.lake.root {
            // Datasets are named by where they are, from wherever the command was called.
            *root = site.lake.location().into();
        }
        let lineage = match Lineage::of(&project).await {
            Ok(lineage) => lineage,
            Err(error) => {
                let code = error.diagnosis.code;
                tracing::warn!(%code, "no lineage events: {}", error.messages().join(": "));
                return Ok(None);
            }
        };
        let rules = project.tables.iter().map(|table| {
            let kinds = table.expectations.iter().map(|rule| (rule.name.to_string(), rule.rule.kind()));
            (table.name.clone(), kinds.collect())
        });
        let namespace = project.lineage.namespace.clone();
        Ok(Some(Self {
            namespace: namespace.unwrap_or_else(|| format!("{}.{}", project.name, project.env)),
            jobs: shapes(&project, &lineage),
            rules: rules.collect(),
            sinks,
        }))
    }

    /// A build is over. `wait`: until what was told has been sent, or for as long as a receiver may keep a build.
    pub async fn flush(&self, wait: bool) {
        self.sinks.flush(wait).await;
    }
}

/// Inputs and outputs of every job, from the lineage of their columns.
fn shapes(project: &Project, lineage: &Lineage<'_>) -> BTreeMap<Job, Shape> {
    let mut jobs = BTreeMap::from([(Job::Build, Shape::default())]);
    for table in &project.tables {
        let name = table.name.as_str();
        let schema = weir_staging::flatten::staging_schema(&table.columns);
        let output = Dataset::made(lineage, &Field::new(Place::Staging, name, ""), &schema);
        let landing = Dataset::named(lineage, &Field::new(Place::Landing, name, ""));
        jobs.insert(Job::Staging(table.name.clone()), Shape { inputs: vec![landing], outputs: vec![output] });
    }
    let mut load = Shape::default();
    for model in &project.models {
        let (name, schema) = (model.name.as_str(), weir_curated::layout::table_schema(model));
        let analytics = Field::new(Place::Analytics, name, "");
        load.outputs.push(Dataset::made(lineage, &analytics, &schema));
        // A view stands in the warehouse alone.
        if !matches!(model.kind, ModelKind::View { .. }) {
            let curated = Field::new(Place::Curated, name, "");
            let read: BTreeSet<Field> = lineage
                .edges()
                .filter(|edge| edge.to.place == Place::Curated && edge.to.table == name)
                .map(|edge| Field::new(edge.from.place, edge.from.table.clone(), ""))
                .filter(|from| *from != curated)
                .collect();
            let inputs = read.iter().map(|field| Dataset::named(lineage, field)).collect();
            let outputs = vec![Dataset::made(lineage, &curated, &schema)];
            jobs.insert(Job::Curated(model.name.clone()), Shape { inputs, outputs });
            load.inputs.push(Dataset::named(lineage, &curated));
        }
    }
    jobs.insert(Job::Load, load);
    jobs
}

/// The runs of one build.
pub struct Run<'t> {
    teller: &'t Teller,
    began: DateTime<Utc>,
    open: BTreeSet<Job>,
    /// Events that are held back until something is done; `None` once they are not.
    held: Option<Vec<Value>>,
}

impl<'t> Run<'t> {
    /// Begins now. Of a build that is `quiet` nothing is told unless it does something.
    pub fn new(teller: &'t Teller, quiet: bool) -> Self {
        let held = quiet.then(Vec::new);
        let mut run = Self { teller, began: Utc::now(), open: BTreeSet::new(), held };
        run.start(Job::Build);
        run
    }

    /// A job begins.
    pub fn start(&mut self, job: Job) {
        let Some(shape) = self.teller.jobs.get(&job) else { return };
        let named = |sets: &[Dataset]| sets.iter().map(Dataset::name).collect();
        let (inputs, outputs) = (named(&shape.inputs), named(&shape.outputs));
        let event = self.event("START", &job, Map::new(), inputs, outputs);
        self.open.insert(job);
        self.tell(event);
    }

    /// A table was staged.
    pub fn staged(&mut self, table: &TableName, staged: &Staged) {
        let kinds = self.teller.rules.get(table);
        let assertions: Vec<Value> = staged
            .rules
            .iter()
            .filter_map(|count| {
                let kind = kinds?.get(&count.rule)?;
                Some(json!({
                    "assertion": kind,
                    "name": count.rule,
                    "column": count.column,
                    "severity": if count.severity == "warn" { "warn" } else { "error" },
                    "success": count.rows == 0,
                    "expected": "0",
                    "actual": count.rows.to_string(),
                }))
            })
            .collect();
        let mut asserted = Map::new();
        if !assertions.is_empty() {
            let facet = facet("1-1-0", "DataQualityAssertionsDatasetFacet", json!({ "assertions": assertions }));
            asserted.insert("dataQualityAssertions".to_owned(), facet);
        }
        let rows = staged.counts.staged + staged.counts.closed;
        let written = Written { rows, bytes: Some(staged.bytes), files: Some(staged.files), version: staged.version };
        self.complete(&Job::Staging(table.clone()), staged.commits > 0, asserted, |_| Some(written));
    }

    /// Curated tables were built and published.
    pub fn built(&mut self, report: &BuildReport) {
        for table in &report.tables {
            let job = Job::Curated(table.table.clone());
            let TableReport { upserts, deletes, version, traffic, change_set_bytes, .. } = table;
            let changed = upserts + deletes > 0;
            if !self.open.contains(&job) {
                if !changed {
                    continue;
                }
                // Not asked for, and touched all the same, so that the whole fits.
                self.start(job.clone());
            }
            let bytes = traffic.bytes_written + change_set_bytes;
            let written = Written { rows: *upserts, bytes: Some(bytes), files: None, version: Some(*version) };
            self.complete(&job, changed, Map::new(), |_| Some(written));
        }
    }

    /// Builds were loaded.
    pub fn loaded(&mut self, loaded: &[Loaded]) {
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for (table, set, gone) in loaded.iter().flat_map(|loaded| &loaded.tables) {
            *rows.entry(table).or_default() += set + gone;
        }
        self.complete(&Job::Load, !loaded.is_empty(), Map::new(), |table| {
            rows.get(table).map(|rows| Written { rows: *rows, bytes: None, files: None, version: None })
        });
    }

    /// The build ends: what is still open failed with it.
    pub fn end<T>(mut self, result: &Result<T, Diagnosed>) {
        let Err(error) = result else {
            self.complete(&Job::Build, false, Map::new(), |_| None);
            return;
        };
        let message = format!("{}: {}", error.diagnosis.code, error.messages().join(": "));
        let said = facet("1-0-1", "ErrorMessageRunFacet", json!({ "message": message, "programmingLanguage": "Rust" }));
        // The build itself is the first of its jobs, and ends last.
        for job in std::mem::take(&mut self.open).iter().rev() {
            let Some(shape) = self.teller.jobs.get(job) else { continue };
            let named = |sets: &[Dataset]| sets.iter().map(Dataset::name).collect();
            let facets = Map::from_iter([("errorMessage".to_owned(), said.clone())]);
            let event = self.event("FAIL", job, facets, named(&shape.inputs), named(&shape.outputs));
            self.release();
            self.tell(event);
        }
    }

    /// A job ends well. `asserted` goes with its inputs; `written` says what went into an output, by its table's name.
    fn complete(
        &mut self,
        job: &Job,
        did: bool,
        asserted: Map<String, Value>,
        written: impl Fn(&str) -> Option<Written>,
    ) {
        let Some(shape) = self.teller.jobs.get(job).filter(|_| self.open.remove(job)) else { return };
        let inputs = shape.inputs.iter().map(|input| input.with("inputFacets", asserted.clone())).collect();
        let outputs = shape.outputs.iter().map(|output| match written(&output.table) {
            Some(Written { rows, bytes, files, version }) => output.versioned(version).with(
                "outputFacets",
                Map::from_iter([("outputStatistics".to_owned(), statistics(rows, bytes, files))]),
            ),
            None => output.whole(),
        });
        let outputs = outputs.collect();
        let event = self.event("COMPLETE", job, Map::new(), inputs, outputs);
        if did {
            self.release();
        }
        self.tell(event);
    }

    fn event(
        &self,
        kind: &str,
        job: &Job,
        mut facets: Map<String, Value>,
        inputs: Vec<Value>,
        outputs: Vec<Value>,
    ) -> Value {
        let id = |job: &Job| run_id(self.began, &self.teller.namespace, &job.name());
        let named = |job: &Job| json!({ "namespace": self.teller.namespace, "name": job.name() });
        let engine = json!({ "name": "Weir", "version": env!("CARGO_PKG_VERSION") });
        facets.insert("processing_engine".to_owned(), facet("1-1-1", "ProcessingEngineRunFacet", engine));
        if *job != Job::Build {
            let parent = json!({ "run": { "runId": id(&Job::Build) }, "job": named(&Job::Build) });
            facets.insert("parent".to_owned(), facet("1-2-0", "ParentRunFacet", parent));
        }
        let own = json!({ "processingType": "BATCH", "integration": "WEIR", "jobType": "JOB" });
        json!({
            "eventType": kind,
            "eventTime": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            "run": { "runId": id(job), "facets": facets },
            "job": {
                "namespace": self.teller.namespace,
                "name": job.name(),
                "facets": { "jobType": facet("2-0-4", "JobTypeJobFacet", own) },
            },
            "inputs": inputs,
            "outputs": outputs,
            "producer": event::PRODUCER,
            "schemaURL": event::SCHEMA,
        })
    }

    /// From now on nothing is held back.
    fn release(&mut self) {
        for event in self.held.take().into_iter().flatten() {
            self.teller.sinks.send(&event);
        }
    }

    fn tell(&mut self, event: Value) {
        match &mut self.held {
            Some(held) => held.push(event),
            None => self.teller.sinks.send(&event),
        }
    }
}

/// What went into a table.
#[derive(Clone, Copy)]
struct Written {
    rows: u64,
    bytes: Option<u64>,
    files: Option<u64>,
    version: Option<i64>,
}
