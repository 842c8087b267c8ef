//! The warehouse of a site: the embedded one, opened with the site's topics and schemas behind its streaming views, or a
//! Redshift elsewhere.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;
use weir_core::diagnosis::Diagnosed;
use weir_project::{LakeRoot, Project};
use weir_warehouse::load::migrations;
use weir_warehouse::mirror::decode::RegistryDecode;
use weir_warehouse::mirror::source::Kafka;
use weir_warehouse::{
    Bucket, Client, Connection, LakeFiles, Options, Placeholders, Redshift, Warehouse, WarehouseError, load,
};

use crate::error::OperateError;
use crate::run::blocking;
use crate::running::running;
use crate::site::{Site, open_lake};

/// The warehouse's file, in the folder of the embedded parts.
pub(crate) const FILE: &str = "warehouse.duckdb";

/// Where a site's star schema is loaded.
#[derive(Clone)]
pub enum Target {
    /// The embedded warehouse.
    Embedded(Arc<Warehouse>),
    /// A Redshift elsewhere.
    Redshift(Redshift),
}

impl Target {
    /// That of the site.
    pub fn open(site: &Site) -> Result<Self, Diagnosed> {
        match Redshift::of(&site.project.warehouse) {
            Some(redshift) => Ok(Self::Redshift(redshift)),
            None => Ok(Self::Embedded(open(site)?)),
        }
    }

    /// A connection; a Redshift is not asked before something is to be done there. Blocks where it is used.
    pub fn connect(&self) -> Result<Box<dyn Connection>, WarehouseError> {
        match self {
            Self::Embedded(warehouse) => Ok(Box::new(warehouse.session()?)),
            Self::Redshift(redshift) => redshift.connect(),
        }
    }
}

/// Opens the warehouse's file in the site's folder.
pub fn open(site: &Site) -> Result<Arc<Warehouse>, Diagnosed> {
    let options = Options {
        memory: Some(site.project.warehouse.memory.as_u64()),
        threads: None,
        decode: Some(Arc::new(RegistryDecode::new(site.services.registry.clone()))),
        source: Some(Arc::new(Kafka::new(site.services.connection.clone()))),
        bucket: match lake_files(site) {
            LakeFiles::Bucket(bucket) => Some(bucket),
            LakeFiles::Folder(_) => None,
        },
    };
    embedded(&site.project)?;
    Ok(Arc::new(Warehouse::open(&site.warehouse_file(), options)?))
}

/// Opens the warehouse without a stream: no refresh. COPY reads a lake in a bucket, where that can be reached.
pub async fn open_alone(project: &Project, dir: &Path) -> Result<Arc<Warehouse>, Diagnosed> {
    embedded(project)?;
    let bucket = match &project.lake.root {
        LakeRoot::Folder(_) => None,
        LakeRoot::S3(_) => match open_lake(project).await {
            Ok(lake) => Some(Bucket::new(lake.location(), lake.store(), Handle::current())),
            Err(error) => {
                tracing::warn!(%error, "the lake cannot be reached: COPY will not read it");
                None
            }
        },
    };
    Ok(Arc::new(Warehouse::open(&dir.join(FILE), Options { bucket, ..alone(project) })?))
}

fn alone(project: &Project) -> Options {
    Options { memory: Some(project.warehouse.memory.as_u64()), ..Options::default() }
}

/// A folder's warehouse: its file, the process that holds the file and serves it, or a Redshift elsewhere.
pub fn reach(project: &Project, dir: &Path) -> Result<Box<dyn Connection>, Diagnosed> {
    Ok(reached(project, dir)?)
}

/// [`WarehouseError::Locked`] where another process holds the file and serves nobody.
fn reached(project: &Project, dir: &Path) -> Result<Box<dyn Connection>, WarehouseError> {
    if let Some(redshift) = Redshift::of(&project.warehouse) {
        return redshift.connect();
    }
    let locked = match Warehouse::open(&dir.join(FILE), alone(project)) {
        Err(error @ WarehouseError::Locked { .. }) => error,
        opened => return Ok(Box::new(opened?.session()?)),
    };
    let served = match running(dir) {
        Some(running) => Client::connect(running.wire, running.pid)?,
        None => None,
    };
    served.map_or(Err(locked), |client| Ok(Box::new(client)))
}

/// The last build that a folder's warehouse has loaded; none where there is no warehouse yet, while a process is at work on
/// it that serves nobody, and where a Redshift cannot be asked.
pub fn loaded(project: &Project, dir: &Path) -> Result<Option<u64>, Diagnosed> {
    let Some(mut connection) = there(project, dir)? else { return Ok(None) };
    match load::last_build(&mut *connection) {
        Ok(build) => Ok(Some(build)),
        // All else that is asked for is here.
        Err(error) if embedded(project).is_err() => {
            tracing::warn!(%error, "the warehouse cannot be asked");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Migrations that the next build applies, by name; none where that cannot be seen, as in [`loaded`].
pub fn pending_migrations(project: &Project, dir: &Path) -> Result<Vec<String>, Diagnosed> {
    let names = |pending: Vec<&weir_project::Migration>| pending.iter().map(|each| each.name.clone()).collect();
    if project.migrations.is_empty() {
        return Ok(Vec::new());
    }
    match there(project, dir)? {
        Some(mut connection) => match migrations::pending(&mut *connection, project) {
            Ok(pending) => Ok(names(pending)),
            Err(error @ (WarehouseError::MigrationChanged { .. } | WarehouseError::MigrationOrder { .. })) => {
                Err(error.into())
            }
            Err(error) if embedded(project).is_err() => {
                tracing::warn!(%error, "the warehouse cannot be asked for its migrations");
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        },
        None if dir.join(FILE).exists() => Ok(Vec::new()),
        None => Ok(names(project.migrations.iter().collect())),
    }
}

/// A folder's warehouse, if there is one and it can be asked.
fn there(project: &Project, dir: &Path) -> Result<Option<Box<dyn Connection>>, WarehouseError> {
    if Redshift::of(&project.warehouse).is_none() && !dir.join(FILE).exists() {
        return Ok(None);
    }
    match reached(project, dir) {
        Err(WarehouseError::Locked { .. }) => Ok(None),
        reached => reached.map(Some),
    }
}

fn embedded(project: &Project) -> Result<(), OperateError> {
    match Redshift::of(&project.warehouse) {
        None => Ok(()),
        Some(_) => Err(OperateError::NotEmbedded { env: project.env.clone(), part: "warehouse" }),
    }
}

/// The lake's files, for load scripts. Called in the runtime that drives requests to a bucket.
pub(crate) fn lake_files(site: &Site) -> LakeFiles {
    match site.lake.folder() {
        Some(folder) => LakeFiles::Folder(folder.to_owned()),
        None => LakeFiles::Bucket(Bucket::new(site.lake.location(), site.lake.store(), Handle::current())),
    }
}

/// What the placeholders of the scripts stand for on this site.
pub async fn placeholders(site: &Site) -> Result<Placeholders, Diagnosed> {
    let connection = site.services.connection.clone();
    let brokers = blocking(move || Ok(connection.brokers()?)).await?;
    Ok(Placeholders {
        lake: site.lake.location().to_owned(),
        iam_role: site.project.warehouse.iam_role.clone(),
        brokers,
        auth: site.project.warehouse.auth.as_str().to_owned(),
    })
}
