//! Opens the embedded warehouse on a site: with the site's topics and schemas behind its streaming views.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use weir_core::diagnosis::Diagnosed;
use weir_envelope::decode::Schemas;
use weir_envelope::{Bounds, Reject};
use weir_project::{Project, WarehouseTarget};
use weir_stream::{Registry, StreamError};
use weir_warehouse::mirror::decode::Decode;
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

/// Decodes records for the warehouse's function with the schemas of the registry.
struct RegistryDecode {
    registry: Registry,
    schemas: RwLock<Schemas>,
}

impl RegistryDecode {
    fn new(registry: Registry) -> Self {
        Self { registry, schemas: RwLock::new(Schemas::new(Bounds::default())) }
    }

    /// Asks the registry for the ids that are not known yet. An outage is an error; "no such schema" is an answer.
    fn learn(&self, ids: Vec<u32>) -> Result<(), StreamError> {
        for id in ids {
            let answer = match self.registry.schema(id) {
                Ok(text) => Some(text),
                Err(StreamError::UnknownSchema { .. }) => None,
                Err(error) => return Err(error),
            };
            // A panic elsewhere leaves the map whole: entries are only ever added.
            let mut schemas = self.schemas.write().unwrap_or_else(PoisonError::into_inner);
            if answer.is_none_or(|text| schemas.add(id, &text).is_err()) {
                schemas.refuse(id, Reject::UnknownSchema(id));
            }
        }
        Ok(())
    }
}

impl Decode for RegistryDecode {
    fn json(&self, value: &[u8]) -> Result<Option<String>, Box<dyn std::error::Error + Send + Sync>> {
        let needed = self.schemas.read().unwrap_or_else(PoisonError::into_inner).needed([value]);
        self.learn(needed)?;
        let mut out = Vec::new();
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        match schemas.cdc_json(value, &mut out) {
            Ok(()) => Ok(String::from_utf8(out).ok()),
            Err(_) => Ok(None),
        }
    }
}
