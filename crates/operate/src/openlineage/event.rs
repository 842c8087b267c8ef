//! The parts of an event: datasets, facets, run ids.

use arrow::datatypes::{DataType, Schema};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::hive;
use crate::lineage::{Field, Lineage};

/// Who says so.
pub(super) const PRODUCER: &str = concat!("urn:weir:", env!("CARGO_PKG_VERSION"));
/// What an event is.
pub(super) const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// A facet of the specification, in a version that it had.
pub(super) fn facet(version: &str, name: &str, content: Value) -> Value {
    let mut facet = Map::from_iter([
        ("_producer".to_owned(), json!(PRODUCER)),
        (
            "_schemaURL".to_owned(),
            json!(format!("https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}")),
        ),
    ]);
    if let Value::Object(content) = content {
        facet.extend(content);
    }
    Value::Object(facet)
}

/// What was written to a dataset.
pub(super) fn statistics(rows: u64, bytes: Option<u64>, files: Option<u64>) -> Value {
    let mut content = Map::from_iter([("rowCount".to_owned(), json!(rows))]);
    content.extend(bytes.map(|bytes| ("size".to_owned(), json!(bytes))));
    content.extend(files.map(|files| ("fileCount".to_owned(), json!(files))));
    facet("1-0-2", "OutputStatisticsOutputDatasetFacet", Value::Object(content))
}

/// The id of a job's run in the build that began then: a UUID of version 7.
pub(super) fn run_id(began: DateTime<Utc>, namespace: &str, job: &str) -> Uuid {
    let hash = Sha256::new().chain_update(namespace).chain_update([0]).chain_update(job).finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&hash[..10]);
    let millis = u64::try_from(began.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// A table that a job reads or writes.
pub(super) struct Dataset {
    /// Its name in the project.
    pub table: String,
    namespace: String,
    name: String,
    facets: Map<String, Value>,
}

impl Dataset {
    /// By its name alone. `of` is any field of it.
    pub fn named(lineage: &Lineage<'_>, of: &Field) -> Self {
        let (namespace, name) = lineage.dataset(of);
        Self { table: of.table.clone(), namespace, name, facets: Map::new() }
    }

    /// With its columns and where they come from.
    pub fn made(lineage: &Lineage<'_>, of: &Field, schema: &Schema) -> Self {
        let mut dataset = Self::named(lineage, of);
        let fields: Vec<Value> = schema.fields().iter().map(|field| column(field.name(), field.data_type())).collect();
        let fields = facet("1-2-0", "SchemaDatasetFacet", json!({ "fields": fields }));
        dataset.facets.insert("schema".to_owned(), fields);
        let columns = column_lineage(lineage, of);
        if !columns.is_empty() {
            let facet = facet("1-2-0", "ColumnLineageDatasetFacet", json!({ "fields": columns }));
            dataset.facets.insert("columnLineage".to_owned(), facet);
        }
        dataset
    }

    /// Namespace and name.
    pub fn name(&self) -> Value {
        json!({ "namespace": self.namespace, "name": self.name })
    }

    /// With what is known of it.
    pub fn whole(&self) -> Value {
        json!({ "namespace": self.namespace, "name": self.name, "facets": self.facets })
    }

    /// At a version of its Delta table.
    pub fn versioned(&self, version: Option<i64>) -> Self {
        let mut facets = self.facets.clone();
        if let Some(version) = version {
            let content = json!({ "datasetVersion": version.to_string() });
            facets.insert("version".to_owned(), facet("1-0-1", "DatasetVersionDatasetFacet", content));
        }
        Self { table: self.table.clone(), namespace: self.namespace.clone(), name: self.name.clone(), facets }
    }

    /// With facets of this run, under `inputFacets` or `outputFacets`.
    pub fn with(&self, kind: &str, facets: Map<String, Value>) -> Value {
        let mut whole = self.whole();
        if !facets.is_empty() {
            whole[kind] = Value::Object(facets);
        }
        whole
    }
}

fn column(name: &str, kind: &DataType) -> Value {
    json!({ "name": name, "type": hive::type_name(kind) })
}

/// By column: the columns that it depends on, each once, and all the ways in which it does.
fn column_lineage(lineage: &Lineage<'_>, of: &Field) -> Map<String, Value> {
    let mut columns: Map<String, Value> = Map::new();
    // Edges are in order: those of one pair of columns do not follow each other, but those from one column do.
    for edge in lineage.edges().filter(|edge| edge.to.place == of.place && edge.to.table == of.table) {
        let mut how = json!({ "type": edge.how.kind(), "subtype": edge.how.subtype() });
        if let Some(text) = &edge.text {
            how["description"] = json!(text);
        }
        let (namespace, name) = lineage.dataset(&edge.from);
        let column = columns.entry(edge.to.column.clone()).or_insert_with(|| json!({ "inputFields": [] }));
        let Some(inputs) = column["inputFields"].as_array_mut() else { continue };
        let same = |input: &&mut Value| {
            input["namespace"] == namespace && input["name"] == name && input["field"] == edge.from.column
        };
        match inputs.iter_mut().find(same).and_then(|input| input["transformations"].as_array_mut()) {
            Some(ways) => ways.push(how),
            None => inputs.push(json!({
                "namespace": namespace, "name": name, "field": edge.from.column, "transformations": [how],
            })),
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_follows_from_the_builds_beginning_and_the_job() {
        let at = |millis| DateTime::from_timestamp_millis(millis).expect("a time");
        let id = run_id(at(1_700_000_000_000), "shop.dev", "staging.order");
        assert_eq!(id, run_id(at(1_700_000_000_000), "shop.dev", "staging.order"));
        assert_ne!(id, run_id(at(1_700_000_000_000), "shop.dev", "staging.customer"));
        assert_ne!(id, run_id(at(1_700_000_000_000), "shop.prod", "staging.order"));
        assert!(id < run_id(at(1_700_000_000_001), "shop.dev", "staging.order"), "later is greater");
        assert_eq!(id.get_version_num(), 7);
    }
}
