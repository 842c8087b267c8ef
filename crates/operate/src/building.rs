//! A build as `weir build` and `weir up` run it: staging, curated, the load into the warehouse, of which whoever follows
//! the lineage hears; then the upkeep of landing's files, and last of all the catalog hears of what has changed.

use std::time::{Duration, Instant};

use weir_core::diagnosis::Diagnosed;
use weir_core::name::TableName;
use weir_curated::BuildReport;
use weir_project::{ModelKind, Selection};
use weir_staging::{Staged, Stager};
use weir_warehouse::mirror::Advanced;

use crate::catalog::Glue;
use crate::openlineage::{Job, Run, Teller};
use crate::run::{self, Load};
use crate::site::Site;
use crate::upkeep;
use crate::warehouse::Target;

/// Time between two looks at what files need.
const TEND_EVERY: Duration = Duration::from_secs(600);

/// Where a build stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upto {
    /// After the checks.
    Staging,
    /// After publication.
    Curated,
    /// After the load.
    Warehouse,
}

/// What a build is to do.
pub struct Wanted<'a> {
    /// The tables and models that take in what is new.
    pub selection: &'a Selection,
    /// Where it stops.
    pub upto: Upto,
    /// The warehouse, where it is open already.
    pub warehouse: Option<Target>,
    /// One of many, every few seconds: nobody is told of it if it finds nothing new, it waits for nobody to be told, and
    /// the streaming views are refreshed beside it, not behind it.
    pub often: bool,
}

/// What a build did.
#[derive(Default)]
pub struct Built {
    /// Staging, in the project's order.
    pub staged: Vec<(TableName, Staged)>,
    /// Curated.
    pub curated: BuildReport,
    /// The builds that were loaded, and the migrations.
    pub loaded: Load,
    /// How long that took, where the build came so far.
    pub load: Option<Duration>,
    /// The warehouse, where the build reached it.
    pub warehouse: Option<Target>,
    /// What the streaming views took in behind the load.
    pub refreshed: Option<Advanced>,
}

/// Builds a site, again and again.
pub struct Builder<'s> {
    site: &'s Site,
    stager: Stager,
    teller: Option<Teller>,
    catalog: Option<Glue>,
    /// Whether the catalog may lack what earlier builds did.
    behind: bool,
    /// When files were looked at.
    tended: Option<Instant>,
}

impl<'s> Builder<'s> {
    /// Reads what builds of the site have in common.
    pub async fn new(site: &'s Site) -> Result<Self, Diagnosed> {
        let (teller, catalog) = (Teller::new(site).await?, Glue::of(&site.project)?);
        Ok(Self { site, stager: Stager::default(), teller, catalog, behind: true, tended: None })
    }

    /// One build. One of many goes on where the catalog does not take part: the next one tells it more.
    pub async fn build(&mut self, wanted: Wanted<'_>) -> Result<Built, Diagnosed> {
        let mut told = self.teller.as_ref().map(|teller| Run::new(teller, wanted.often));
        let often = wanted.often;
        let result = steps(self.site, &mut self.stager, told.as_mut(), wanted).await;
        if let (Some(told), Some(teller)) = (told, &self.teller) {
            told.end(&result);
            teller.flush(!often).await;
        }
        let mut built = result?;
        self.behind |= built.staged.iter().any(|(_, staged)| staged.commits > 0) || built.curated.published.is_some();
        if let Some(target) = built.warehouse.as_ref().filter(|_| !often) {
            built.refreshed = run::refresh(self.site, target).await?;
        }
        if self.tended.is_none_or(|at| at.elapsed() >= TEND_EVERY) {
            self.behind |= upkeep::tend(&self.site.project, &self.site.lake).await?;
            self.tended = Some(Instant::now());
        }
        // Last: what is not told because the catalog is away has been done.
        if let Some(catalog) = self.catalog.as_ref().filter(|_| self.behind) {
            match catalog.follow(&self.site.project, &self.site.lake).await {
                Ok(_) => self.behind = false,
                Err(error) if often => {
                    let code = error.diagnosis.code;
                    tracing::warn!(%code, "the catalog is behind: {}", error.messages().join(": "));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(built)
    }

    /// Waits until what builds told has been sent, for a bounded time.
    pub async fn close(self) {
        if let Some(teller) = self.teller {
            teller.flush(true).await;
        }
    }
}

async fn steps(
    site: &Site,
    stager: &mut Stager,
    mut told: Option<&mut Run<'_>>,
    Wanted { selection, upto, warehouse, .. }: Wanted<'_>,
) -> Result<Built, Diagnosed> {
    let mut built = Built::default();
    let mut tables = site.project.tables.clone();
    tables.retain(|table| selection.has_table(&table.name));
    for table in &tables {
        if let Some(told) = &mut told {
            told.start(Job::Staging(table.name.clone()));
        }
        let staged = stager.stage_table(table, &site.project.staging, &site.lake).await?;
        if let Some(told) = &mut told {
            told.staged(&table.name, &staged);
        }
        built.staged.push((table.name.clone(), staged));
    }
    weir_staging::metrics::derive(&tables, &site.lake).await?;
    if upto < Upto::Curated {
        return Ok(built);
    }
    if let Some(told) = &mut told {
        for model in site.project.models.iter().filter(|model| selection.has_model(&model.name)) {
            if !matches!(model.kind, ModelKind::View { .. }) {
                told.start(Job::Curated(model.name.clone()));
            }
        }
    }
    built.curated = run::build_selected(site, selection).await?;
    if let Some(told) = &mut told {
        told.built(&built.curated);
    }
    if upto < Upto::Warehouse {
        return Ok(built);
    }
    if let Some(told) = &mut told {
        told.start(Job::Load);
    }
    let target = warehouse.map_or_else(|| Target::open(site), Ok)?;
    let began = Instant::now();
    built.loaded = run::load(site, &target).await?;
    built.load = Some(began.elapsed());
    if let Some(told) = &mut told {
        told.loaded(&built.loaded.builds);
    }
    built.warehouse = Some(target);
    Ok(built)
}
