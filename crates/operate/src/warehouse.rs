//! Opens the embedded warehouse on a site: with the site's topics and schemas behind its streaming views.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;
use weir_core::diagnosis::Diagnosed;
use weir_project::{Project, WarehouseTarget};
use weir_warehouse::mirror::decode::RegistryDecode;
use weir_warehouse::mirror::source::Kafka;
use weir_warehouse::{Answer, Bucket, Client, LakeFiles, Options, Placeholders, Warehouse, WarehouseError, load};

use crate::error::OperateError;
use crate::run::blocking;
use crate::running::running;
use crate::site::Site;

/// The warehouse's file, in the folder of the embedded parts.
pub(crate) const FILE: &str = "warehouse.duckdb";

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

/// Opens the warehouse without a stream: queries only, no refresh.
pub fn open_alone(project: &Project, dir: &Path) -> Result<Arc<Warehouse>, Diagnosed> {
    embedded(project)?;
    Ok(Arc::new(Warehouse::open(&dir.join(FILE), alone(project))?))
}

fn alone(project: &Project) -> Options {
    Options { memory: Some(project.warehouse.memory.as_u64()), ..Options::default() }
}

/// A folder's warehouse: its file, or the process that holds the file and serves it.
pub enum Reached {
    /// This process holds the file.
    Here(Arc<Warehouse>),
    /// Another one does, and answers on the wire.
    Served(Client),
}

/// Opens the warehouse without a stream, or finds the process that serves it.
pub fn reach(project: &Project, dir: &Path) -> Result<Reached, Diagnosed> {
    embedded(project)?;
    Ok(reached(project, dir)?)
}

/// [`WarehouseError::Locked`] where another process holds the file and serves nobody.
fn reached(project: &Project, dir: &Path) -> Result<Reached, WarehouseError> {
    let locked = match Warehouse::open(&dir.join(FILE), alone(project)) {
        Err(error @ WarehouseError::Locked { .. }) => error,
        opened => return Ok(Reached::Here(Arc::new(opened?))),
    };
    let served = match running(dir) {
        Some(running) => Client::connect(running.wire, running.pid)?,
        None => None,
    };
    served.map(Reached::Served).ok_or(locked)
}

/// The last build that a folder's warehouse has loaded; none where there is no warehouse yet, where it is elsewhere, and
/// while a process is at work on it that serves nobody.
pub fn loaded(project: &Project, dir: &Path) -> Result<Option<u64>, Diagnosed> {
    if embedded(project).is_err() || !dir.join(FILE).exists() {
        return Ok(None);
    }
    match reached(project, dir) {
        Err(WarehouseError::Locked { .. }) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(Reached::Here(warehouse)) => Ok(Some(load::last_build(&mut warehouse.session()?)?)),
        Ok(Reached::Served(mut client)) => {
            let mut build = None;
            client.stream(load::LAST_BUILD, &mut |answer| {
                if let Answer::Row(row) = answer {
                    build = row.into_iter().next().flatten().and_then(|text| text.parse().ok());
                }
            })?;
            Ok(build)
        }
    }
}

impl Reached {
    /// Runs statements and hands over what they give as it comes.
    pub fn stream(&mut self, text: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<(), Diagnosed> {
        match self {
            Self::Here(warehouse) => Ok(warehouse.session()?.stream(text, each)?),
            Self::Served(client) => Ok(client.stream(text, each)?),
        }
    }
}

fn embedded(project: &Project) -> Result<(), OperateError> {
    match project.warehouse.target {
        WarehouseTarget::Embedded { .. } => Ok(()),
        WarehouseTarget::Redshift(_) => Err(OperateError::NotEmbedded { env: project.env.clone(), part: "warehouse" }),
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
