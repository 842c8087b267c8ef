//! What the infrastructure must know of the pipeline: names, topics, retention, as variables of Terraform.
//!
//! The pipeline's files are the one place where these stand; `infra/` takes them from here.

use serde_json::{Value, json};
use weir_lake::S3;
use weir_project::{Connector, ConnectorKind, LakeRoot, Project, Table};
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
            "tables": project.tables.iter().map(|each| table(project, each, &location)).collect::<Vec<_>>(),
        }
    })
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
