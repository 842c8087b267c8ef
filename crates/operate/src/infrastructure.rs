//! What the infrastructure must know of the pipeline: names, topics, retention, as variables of Terraform.
//!
//! The pipeline's files are the one place where these stand; `infra/` takes them from here.

use serde_json::{Value, json};
use weir_project::{Connector, LakeRoot, Project, Table};
use weir_warehouse::mirror::view_name;

use crate::run::group;

/// The variable `pipeline` of `infra/environments/<env>`.
pub fn tfvars(project: &Project) -> Value {
    // On AWS the lake is on S3, also that of an environment which is a laptop's otherwise.
    let url = match &project.lake.root {
        LakeRoot::Folder(_) => format!("s3://{}-datalake-{}", project.name, project.env),
        LakeRoot::S3(url) => url.trim_end_matches('/').to_owned(),
    };
    let path = url.strip_prefix("s3://").unwrap_or(&url);
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    let root = LakeRoot::S3(url.clone());
    json!({
        "pipeline": {
            "name": project.name,
            "environment": project.env,
            "partitions": project.stream.partitions,
            "retention_ms": u64::try_from(project.stream.retention.as_millis()).unwrap_or(u64::MAX),
            "refresh_minutes": project.warehouse.refresh_every.as_secs().div_ceil(60),
            "lake_bucket": bucket,
            "lake_prefix": prefix,
            "tables": project.tables.iter().map(|each| table(project, each, &root)).collect::<Vec<_>>(),
        }
    })
}

fn table(project: &Project, table: &Table, root: &LakeRoot) -> Value {
    let (connector, server, database, schema) = match &table.connector {
        Connector::SqlServer { server, database, schema } => ("sqlserver", server, database, schema),
        Connector::Postgres { server, database, schema } => ("postgresql", server, database, schema),
    };
    json!({
        "name": table.name,
        "topic": table.topic,
        "consumer_group": group(&project.name, &table.name, root),
        "connector": connector,
        "server": server,
        "database": database,
        "schema": schema,
        "view": format!("staging.{}", view_name(table)),
    })
}
