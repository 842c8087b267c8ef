//! What tables are called: by people, on the command line, and in OpenLineage (its `spec/Naming.md`).

use weir_lake::S3;
use weir_project::{Connector, ConnectorKind, Endpoint, LakeRoot, RedshiftAt, RedshiftName, Table, WarehouseTarget};

use super::{Field, Lineage, Place};

impl Lineage<'_> {
    /// The schema that a person writes in front of a table; `dbo` and the like name the source.
    pub(super) fn place(&self, schema: &str) -> Option<Place> {
        let place = match schema {
            "source" => Place::Source,
            "topic" => Place::Topic,
            "landing" => Place::Landing,
            "staging" => Place::Staging,
            "curated" => Place::Curated,
            "analytics" => Place::Analytics,
            "mirror" => Place::Mirror,
            schema if self.project.tables.iter().any(|table| source_schema(table) == schema) => Place::Source,
            _ => return None,
        };
        Some(place)
    }

    /// `analytics.fact_sales`, as it can be asked for.
    pub(super) fn table_name(&self, field: &Field) -> String {
        let schema = match field.place {
            Place::Source => self.table(field).map_or("source", source_schema),
            Place::Topic => "topic",
            Place::Landing => "landing",
            Place::Staging => "staging",
            Place::Curated => "curated",
            Place::Analytics => "analytics",
            Place::Mirror => "mirror",
        };
        format!("{schema}.{}", field.table)
    }

    /// A column as the tree shows it.
    pub(crate) fn shown(&self, field: &Field) -> String {
        match field.place {
            Place::Source => format!("source {}.{}", self.table_name(field), field.column),
            Place::Topic => {
                let topic = self.table(field).map_or(field.table.as_str(), |table| table.topic.as_str());
                format!("topic {topic} {}", field.column)
            }
            Place::Landing => format!("{} {}", self.table_name(field), field.column),
            Place::Staging | Place::Curated | Place::Analytics | Place::Mirror => {
                format!("{}.{}", self.table_name(field), field.column)
            }
        }
    }

    /// OpenLineage's namespace and name of the table that a column is in.
    pub fn dataset(&self, field: &Field) -> (String, String) {
        let lake = |zone: &str| match &self.project.lake.root {
            LakeRoot::Folder(root) => ("file".to_owned(), format!("{}/{zone}/{}", root.display(), field.table)),
            LakeRoot::S3(url) => {
                let S3 { bucket, prefix, .. } = S3::of_url(url);
                let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
                (format!("s3://{bucket}"), format!("{below}{zone}/{}", field.table))
            }
        };
        let warehouse = |schema: &str| match &self.project.warehouse.target {
            WarehouseTarget::Embedded { .. } => ("redshift://embedded".to_owned(), format!("{schema}.{}", field.table)),
            WarehouseTarget::Address(url) => {
                let (host, database) = host_and_path(url.as_written());
                (format!("redshift://{host}"), format!("{database}.{schema}.{}", field.table))
            }
            WarehouseTarget::Redshift(RedshiftAt { name, database, region, .. }) => {
                let (RedshiftName::Workgroup(name) | RedshiftName::Cluster(name)) = name;
                (format!("redshift://{name}.{region}:5439"), format!("{database}.{schema}.{}", field.table))
            }
        };
        match field.place {
            Place::Source => match self.table(field).map(|table| &table.connector) {
                Some(Connector { kind, server, database, schema }) => {
                    let scheme = match kind {
                        ConnectorKind::SqlServer => "mssql",
                        ConnectorKind::Postgres => "postgres",
                    };
                    (format!("{scheme}://{server}"), format!("{database}.{schema}.{}", field.table))
                }
                None => ("mssql://source".to_owned(), field.table.clone()),
            },
            Place::Topic => {
                let brokers = match &self.project.stream.brokers {
                    Endpoint::Embedded { .. } => "embedded".to_owned(),
                    // One of several names the cluster, as OpenLineage wants it.
                    Endpoint::External(brokers) => {
                        brokers.as_written().split(',').next().unwrap_or_default().trim().to_owned()
                    }
                };
                let topic = self.table(field).map_or_else(|| field.table.clone(), |table| table.topic.clone());
                (format!("kafka://{brokers}"), topic)
            }
            Place::Landing => lake("landing"),
            Place::Staging => lake("staging"),
            Place::Curated => lake("curated"),
            Place::Analytics => warehouse("analytics"),
            Place::Mirror => warehouse("staging"),
        }
    }

    fn table(&self, field: &Field) -> Option<&Table> {
        self.project.tables.iter().find(|table| table.name.as_str() == field.table)
    }
}

fn source_schema(table: &Table) -> &str {
    &table.connector.schema
}

/// `host:5439` and `database` of a connection URL; what names a user or a secret stays out.
fn host_and_path(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    rest.split_once('/').unwrap_or((rest, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warehouse_is_named_without_its_user_and_its_secret() {
        let url = "postgres://loader:${env:PASSWORD}@cluster.eu.example:5439/shop?sslmode=require";
        assert_eq!(host_and_path(url), ("cluster.eu.example:5439", "shop"));
        assert_eq!(host_and_path("${env:WAREHOUSE}"), ("${env:WAREHOUSE}", ""));
    }
}
