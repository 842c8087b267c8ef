//! What the infrastructure must know of the pipeline: names, topics, retention, as variables of Terraform.
//!
//! The pipeline's files are the one place where these stand; `infra/` takes them from here.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_lake::S3;
use weir_project::{
    Connector, ConnectorKind, Endpoint, Item, LakeRoot, Project, RegistryAt, SecretText, Table, WarehouseTarget,
};
use weir_warehouse::mirror::view_name;

use crate::run::group;

/// The variable `pipeline` of `infra/environments/<env>`.
pub fn tfvars(project: &Project) -> Value {
    // On AWS the lake is on S3, also that of an environment which is a laptop's otherwise.
    let lake = match &project.lake.root {
        LakeRoot::Folder(_) => S3 { bucket: format!("{}-datalake-{}", project.name, project.env), ..S3::default() },
        LakeRoot::S3(url) => S3::of_url(url),
    };
    let location = lake.location();
    json!({
        "pipeline": {
            "name": project.name,
            "environment": project.env,
            "partitions": project.stream.partitions,
            "retention_ms": u64::try_from(project.stream.retention.as_millis()).unwrap_or(u64::MAX),
            "refresh_minutes": project.warehouse.refresh_every.as_secs().div_ceil(60),
            "lake_bucket": lake.bucket,
            "lake_prefix": lake.prefix,
            "secrets": secrets(project),
            "tables": project.tables.iter().map(|each| table(project, each, &location)).collect::<Vec<_>>(),
        }
    })
}

/// What each job may look up: names of Secrets Manager and of Systems Manager.
fn secrets(project: &Project) -> Value {
    let brokers = match &project.stream.brokers {
        Endpoint::External(brokers) => Some(brokers),
        Endpoint::Embedded { .. } => None,
    };
    let registry = match &project.stream.registry {
        RegistryAt::Confluent(url) => Some(url),
        RegistryAt::Embedded { .. } | RegistryAt::Glue { .. } => None,
    };
    let warehouse = match &project.warehouse.target {
        WarehouseTarget::Address(url) => Some(url),
        WarehouseTarget::Embedded { .. } | WarehouseTarget::Redshift(_) => None,
    };
    let stream = brokers.into_iter().chain(registry).chain(project.stream.client.values());
    // The warehouse is told where the brokers are.
    let build = brokers.into_iter().chain(warehouse).chain(&project.lineage.url).chain(&project.lineage.api_key);
    json!({ "stream": kept(stream), "build": kept(build) })
}

fn kept<'a>(texts: impl Iterator<Item = &'a SecretText>) -> Value {
    let (mut secrets, mut parameters) = (BTreeSet::new(), BTreeSet::new());
    for item in texts.flat_map(SecretText::kept) {
        match item {
            Item::Secret { name, .. } => secrets.insert(name),
            Item::Parameter { name } => parameters.insert(name),
        };
    }
    json!({ "secrets": secrets, "parameters": parameters })
}

fn table(project: &Project, table: &Table, location: &str) -> Value {
    let Connector { kind, server, database, schema } = &table.connector;
    let connector = match kind {
        ConnectorKind::SqlServer => "sqlserver",
        ConnectorKind::Postgres => "postgresql",
    };
    json!({
        "name": table.name,
        "topic": table.topic,
        "consumer_group": group(&project.name, &table.name, location),
        "connector": connector,
        "server": server,
        "database": database,
        "schema": schema,
        "view": format!("staging.{}", view_name(table)),
    })
}
