//! The AWS Glue Data Catalog: its databases, tables and partitions as [`Entry`], both ways.
//!
//! A table is registered as AWS documents it for a native Delta table ("Synchronize Delta Lake metadata" of Athena):
//! provider `delta`, and the location, from which Athena reads the table's own log. Columns are the real ones, for those
//! who grant by column.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use weir_core::zone::Zone;
use weir_project::{Catalog, Project};

use super::service::Service;
use super::{Column, Entry, Folder, ZONES, database};
use crate::error::OperateError;

/// Parameter of a table or partition: the version of the Delta table that it describes, or that made it.
const VERSION: &str = "weir.version";
/// Parameter of a table: the Delta table's id. An entry without it is not Weir's.
const ID: &str = "weir.table_id";
/// Glue's words for what is there already, and for what is not there.
const ALREADY_THERE: &str = "AlreadyExistsException";
const NOT_THERE: &str = "EntityNotFoundException";
/// Partitions in one request, as Glue allows.
const CREATED_AT_ONCE: usize = 100;
/// The same for deleting.
const DELETED_AT_ONCE: usize = 25;

/// A project's part of a Glue catalog.
pub struct Glue {
    service: Service,
}

impl Glue {
    /// None where the project's catalog is embedded. Nothing is asked yet.
    pub fn of(project: &Project) -> Result<Option<Self>, OperateError> {
        match &project.catalog {
            Catalog::Embedded => Ok(None),
            Catalog::Glue { region, endpoint, .. } => {
                Ok(Some(Self { service: Service::new(region.as_deref(), endpoint.as_deref())? }))
            }
        }
    }

    /// What the catalog holds of a project, with the partitions of every table.
    pub async fn entries(&self, project: &Project) -> Result<Vec<Entry>, OperateError> {
        let mut entries = Vec::new();
        for zone in ZONES {
            for mut entry in self.tables(project, zone).await?.unwrap_or_default() {
                if !entry.keys.is_empty() {
                    entry.partitions = self.partitions(&entry).await?;
                }
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// Weir's tables of a zone's database, without their partitions; none if there is no such database.
    pub(super) async fn tables(&self, project: &Project, zone: Zone) -> Result<Option<Vec<Entry>>, OperateError> {
        let database = database(project, zone);
        let (mut entries, mut next) = (Vec::new(), Value::Null);
        loop {
            let mut asked = json!({ "DatabaseName": database });
            if !next.is_null() {
                asked["NextToken"] = next;
            }
            let answer = match self.service.ask_unless("GetTables", &asked).await? {
                Ok(answer) => answer,
                Err(refusal) if refusal.code == NOT_THERE => return Ok(None),
                Err(refusal) => return Err(refused("GetTables", refusal)),
            };
            entries.extend(list(&answer["TableList"]).iter().filter_map(|table| read_table(&database, table)));
            next = answer["NextToken"].clone();
            if next.is_null() {
                return Ok(Some(entries));
            }
        }
    }

    /// The partitions of a table.
    pub(super) async fn partitions(&self, entry: &Entry) -> Result<BTreeMap<Vec<String>, Folder>, OperateError> {
        let (mut found, mut next) = (BTreeMap::new(), Value::Null);
        loop {
            let mut asked = json!({
                "DatabaseName": entry.database, "TableName": entry.table, "ExcludeColumnSchema": true,
            });
            if !next.is_null() {
                asked["NextToken"] = next;
            }
            let answer = self.service.ask("GetPartitions", &asked).await?;
            for partition in list(&answer["Partitions"]) {
                let values = list(&partition["Values"]).iter().map(text).collect();
                let location = text(&partition["StorageDescriptor"]["Location"]);
                let version = partition["Parameters"][VERSION].as_str().and_then(|version| version.parse().ok());
                found.insert(values, Folder { location: location.trim_end_matches('/').to_owned(), version });
            }
            next = answer["NextToken"].clone();
            if next.is_null() {
                return Ok(found);
            }
        }
    }

    /// Makes a zone's database, unless it is there.
    pub(super) async fn make_database(&self, project: &Project, zone: Zone, lake: &str) -> Result<(), OperateError> {
        let name = database(project, zone);
        let described = format!("Zone {zone} of {} ({})", project.name, project.env);
        let input = json!({ "Name": name, "Description": described, "LocationUri": format!("{lake}/{zone}/") });
        let asked = json!({ "DatabaseInput": input });
        match self.service.ask_unless("CreateDatabase", &asked).await? {
            Err(refusal) if refusal.code != ALREADY_THERE => Err(refused("CreateDatabase", refusal)),
            _ => Ok(()),
        }
    }

    /// Makes or changes a table. What it was is kept as a version of Glue's only where its columns change: the version
    /// of a Delta table changes with every commit.
    pub(super) async fn put_table(&self, entry: &Entry, before: Option<&Entry>) -> Result<(), OperateError> {
        let mut asked = json!({ "DatabaseName": entry.database, "TableInput": table_input(entry) });
        let Some(before) = before else {
            return match self.service.ask_unless("CreateTable", &asked).await? {
                Ok(_) => Ok(()),
                // Made by a request whose reply was lost, by another process of ours, or by somebody else.
                Err(refusal) if refusal.code == ALREADY_THERE && self.is_ours(entry).await? => Ok(()),
                Err(refusal) => Err(refused("CreateTable", refusal)),
            };
        };
        asked["SkipArchive"] = json!(before.columns == entry.columns && before.keys == entry.keys);
        self.service.ask("UpdateTable", &asked).await.map(drop)
    }

    async fn is_ours(&self, entry: &Entry) -> Result<bool, OperateError> {
        let asked = json!({ "DatabaseName": entry.database, "Name": entry.table });
        let answer = self.service.ask("GetTable", &asked).await?;
        Ok(read_table(&entry.database, &answer["Table"]).is_some())
    }

    /// Deletes a table's entry.
    pub(super) async fn drop_table(&self, entry: &Entry) -> Result<(), OperateError> {
        let asked = json!({ "DatabaseName": entry.database, "Name": entry.table });
        match self.service.ask_unless("DeleteTable", &asked).await? {
            Err(refusal) if refusal.code != NOT_THERE => Err(refused("DeleteTable", refusal)),
            _ => Ok(()),
        }
    }

    /// Adds partitions; those that are there already stay as they are.
    pub(super) async fn add_partitions(
        &self,
        entry: &Entry,
        folders: &BTreeMap<Vec<String>, Folder>,
    ) -> Result<(), OperateError> {
        let folders: Vec<Value> = folders.iter().map(|(values, folder)| partition_input(values, folder)).collect();
        for some in folders.chunks(CREATED_AT_ONCE) {
            let asked = json!({ "DatabaseName": entry.database, "TableName": entry.table, "PartitionInputList": some });
            self.batch("BatchCreatePartition", &asked, ALREADY_THERE).await?;
        }
        Ok(())
    }

    /// Deletes partitions, those that are gone already too.
    pub(super) async fn drop_partitions(&self, entry: &Entry, folders: &[&Vec<String>]) -> Result<(), OperateError> {
        for some in folders.chunks(DELETED_AT_ONCE) {
            let some: Vec<Value> = some.iter().map(|values| json!({ "Values": values })).collect();
            let asked = json!({ "DatabaseName": entry.database, "TableName": entry.table, "PartitionsToDelete": some });
            self.batch("BatchDeletePartition", &asked, NOT_THERE).await?;
        }
        Ok(())
    }

    /// A request whose parts are refused one by one; one reason is none.
    async fn batch(&self, action: &'static str, asked: &Value, harmless: &str) -> Result<(), OperateError> {
        let answer = self.service.ask(action, asked).await?;
        let code = |error: &Value| text(&error["ErrorDetail"]["ErrorCode"]);
        match list(&answer["Errors"]).iter().find(|error| code(error) != harmless) {
            None => Ok(()),
            Some(error) => {
                let message = text(&error["ErrorDetail"]["ErrorMessage"]);
                Err(OperateError::CatalogRefused { action, code: code(error), message })
            }
        }
    }
}

fn refused(action: &'static str, refusal: super::service::Refusal) -> OperateError {
    OperateError::CatalogRefused { action, code: refusal.code, message: refusal.message }
}

fn table_input(entry: &Entry) -> Value {
    let location = format!("{}/", entry.location);
    json!({
        "Name": entry.table,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": column_inputs(&entry.keys),
        "Parameters": {
            "EXTERNAL": "TRUE",
            "spark.sql.sources.provider": "delta",
            ID: entry.id,
            VERSION: entry.version.to_string(),
        },
        "StorageDescriptor": {
            "Location": location,
            "Columns": column_inputs(&entry.columns),
            "SerdeInfo": { "Parameters": { "serialization.format": "1", "path": location } },
        },
    })
}

fn partition_input(values: &[String], folder: &Folder) -> Value {
    let mut parameters = Map::new();
    parameters.extend(folder.version.map(|version| (VERSION.to_owned(), json!(version.to_string()))));
    json!({
        "Values": values,
        "Parameters": parameters,
        "StorageDescriptor": { "Location": format!("{}/", folder.location) },
    })
}

fn column_inputs(columns: &[Column]) -> Vec<Value> {
    columns.iter().map(|(name, kind)| json!({ "Name": name, "Type": kind })).collect()
}

/// A table that Weir registered; none of another's.
fn read_table(database: &str, table: &Value) -> Option<Entry> {
    let id = table["Parameters"][ID].as_str()?;
    let columns = |columns: &Value| -> Vec<Column> {
        list(columns).iter().map(|column| (text(&column["Name"]), text(&column["Type"]))).collect()
    };
    Some(Entry {
        database: database.to_owned(),
        table: text(&table["Name"]),
        location: text(&table["StorageDescriptor"]["Location"]).trim_end_matches('/').to_owned(),
        id: id.to_owned(),
        version: text(&table["Parameters"][VERSION]).parse().unwrap_or(-1),
        columns: columns(&table["StorageDescriptor"]["Columns"]),
        keys: columns(&table["PartitionKeys"]),
        partitions: BTreeMap::new(),
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
