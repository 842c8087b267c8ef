//! What the infrastructure must know of the pipeline: names, topics, retention, as variables of Terraform.
//!
//! The pipeline's files are the one place where these stand; `infra/` takes them from here.

use serde_json::{Value, json};
use weir_project::{Connector, LakeRoot, Project, Table};
use weir_warehouse::mirror::view_name;

/// The variable `pipeline` of `infra/environments/<env>`.
pub fn tfvars(project: &Project) -> Value {
    let (bucket, prefix) = match &project.lake.root {
        LakeRoot::Folder(_) => (None, ""),
        LakeRoot::S3(url) => {
            let rest = url.strip_prefix("s3://").unwrap_or(url);
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(bucket), prefix.trim_end_matches('/'))
        }
    };
    json!({
        "pipeline": {
            "name": project.name,
            "environment": project.env,
            "partitions": project.stream.partitions,
            "retention_ms": u64::try_from(project.stream.retention.as_millis()).unwrap_or(u64::MAX),
            "refresh_minutes": project.warehouse.refresh_every.as_secs().div_ceil(60),
            "lake_bucket": bucket,
            "lake_prefix": prefix,
            "tables": project.tables.iter().map(table).collect::<Vec<_>>(),
        }
    })
}

fn table(table: &Table) -> Value {
    let (connector, server, database, schema) = match &table.connector {
        Connector::SqlServer { server, database, schema } => ("sqlserver", server, database, schema),
        Connector::Postgres { server, database, schema } => ("postgresql", server, database, schema),
    };
    json!({
        "name": table.name,
        "topic": table.topic,
        "connector": connector,
        "server": server,
        "database": database,
        "schema": schema,
        "view": format!("staging.{}", view_name(table)),
    })
}
