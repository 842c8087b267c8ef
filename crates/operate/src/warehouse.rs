//! Opens the embedded warehouse on a site: with the site's topics and schemas behind its streaming views.

use std::path::Path;
use std::sync::Arc;

use weir_core::diagnosis::Diagnosed;
use weir_project::{Project, WarehouseTarget};
use weir_warehouse::mirror::decode::RegistryDecode;
use weir_warehouse::mirror::source::Kafka;
use weir_warehouse::{Options, Placeholders, Warehouse};

use crate::error::OperateError;
use crate::site::Site;

/// Opens the warehouse's file in the site's folder.
pub fn open(site: &Site) -> Result<Arc<Warehouse>, Diagnosed> {
    let options = Options {
        memory: Some(site.project.warehouse.memory.as_u64()),
        threads: None,
        decode: Some(Arc::new(RegistryDecode::new(site.services.registry.clone()))),
        source: Some(Arc::new(Kafka::new(site.services.connection.clone()))),
    };
    embedded(&site.project)?;
    Ok(Arc::new(Warehouse::open(&site.warehouse_file(), options)?))
}

/// Opens the warehouse without a stream: queries only, no refresh.
pub fn open_alone(project: &Project, dir: &Path) -> Result<Arc<Warehouse>, Diagnosed> {
    embedded(project)?;
    let options = Options { memory: Some(project.warehouse.memory.as_u64()), ..Options::default() };
    Ok(Arc::new(Warehouse::open(&dir.join("warehouse.duckdb"), options)?))
}

fn embedded(project: &Project) -> Result<(), OperateError> {
    match project.warehouse.target {
        WarehouseTarget::Embedded { .. } => Ok(()),
        WarehouseTarget::Redshift(_) => Err(OperateError::NotEmbedded { env: project.env.clone(), part: "warehouse" }),
    }
}

/// What the placeholders of the scripts stand for on this site.
pub fn placeholders(site: &Site) -> Placeholders {
    Placeholders {
        lake: site.lake.root().display().to_string(),
        iam_role: site.project.warehouse.iam_role.clone(),
        brokers: site.services.connection.brokers().to_owned(),
        auth: site.project.warehouse.auth.as_str().to_owned(),
    }
}
