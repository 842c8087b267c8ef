//! A member of a dimension: its changes, its versions, and the facts that point to each.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use weir_core::diagnosis::Diagnosed;
use weir_core::value::Value;
use weir_core::zone::Zone;
use weir_curated::trace::MadeVersion;
use weir_envelope::values::value_at;
use weir_lake::DataFile;
use weir_project::{Model, ModelColumn, ModelKind};

use super::key::Key;
use super::passport::{Passport, PointedBy, Version};
use super::{Changes, PERSONAL, Trace, wrong};
use crate::error::OperateError;
use crate::lineage::{Field, Place};
use crate::reconcile::values::row;

impl Trace<'_> {
    /// Everything of a dimension's key; the facts too where asked, which reads every fact's pointers.
    pub(super) async fn member(&mut self, key: &Key<'_>, with_facts: bool) -> Result<Passport, Diagnosed> {
        let mut changes = self.changes(key).await?;
        let stored = weir_curated::trace::stored(self.project, self.zones.lake, key.model, &key.arrays()?).await?;
        let made = match &changes.history {
            Some(history) => weir_curated::trace::made_versions(key.model, history)?,
            None => Vec::new(),
        };
        let mut versions = Vec::new();
        if let Some(stored) = &stored {
            self.zones.note(&stored.table, stored.files);
            versions = self.stored_versions(key.model, &stored.rows);
        }
        for made in &made {
            if !versions.iter().any(|version| version.surrogate_key == made.surrogate) {
                versions.push(unbuilt(made));
            }
        }
        versions.sort_by(|a, b| a.effective_from.cmp(&b.effective_from));
        for (at, version) in versions.iter_mut().enumerate() {
            version.number = at + 1;
            let made = made.iter().find(|made| made.surrogate == version.surrogate_key);
            if let Some(made) = made {
                explain(version, made, &mut changes);
            }
        }
        if with_facts {
            self.pointed_by(key.model, &mut versions).await?;
        }
        Ok(Passport {
            table: key.model.name.to_string(),
            kind: "dimension",
            key: key.shown(&self.lineage),
            changes: changes.all,
            versions,
            ..Passport::default()
        })
    }

    fn stored_versions(&self, model: &Model, rows: &RecordBatch) -> Vec<Version> {
        let is_durable = matches!(&model.kind, ModelKind::Dimension { durable_key: Some(_), .. });
        let value = |column: &str, row: usize| {
            rows.column_by_name(column).and_then(|array| value_at(array.as_ref(), row)).unwrap_or(Value::Null)
        };
        let columns = |row: usize| -> BTreeMap<String, String> {
            // The key of a member with a durable key may be another in each version.
            let is_told = |column: &&ModelColumn| is_durable || !model.key.contains(&column.name);
            let others = model.columns.iter().filter(is_told);
            others.map(|c| c.name.as_str()).map(|c| (c.to_owned(), self.shown(model, c, &value(c, row)))).collect()
        };
        let surrogate = |row: usize| rows.column(0).as_primitive::<Int64Type>().value(row);
        let version = |row: usize| Version {
            surrogate_key: surrogate(row),
            effective_from: value("effective_from", row).to_string(),
            effective_to: value("effective_to", row).to_string(),
            is_current: value("is_current", row) == Value::Bool(true),
            is_inferred: value("is_inferred", row) == Value::Bool(true),
            is_built: true,
            columns: columns(row),
            ..Version::default()
        };
        (0..rows.num_rows()).map(version).collect()
    }

    /// Counts the facts of each version, and names the first ones by key.
    async fn pointed_by(&mut self, model: &Model, versions: &mut [Version]) -> Result<(), Diagnosed> {
        let project = self.project;
        for fact in &project.models {
            let ModelKind::Fact { dimensions, .. } = &fact.kind else { continue };
            let pointers: Vec<&str> = dimensions
                .iter()
                .filter(|pointer| pointer.dimension == model.name)
                .map(|pointer| pointer.key_column.as_str())
                .collect();
            let Some(table) = self.zones.lake.table(Zone::Curated, fact.name.as_str()).await? else { continue };
            if pointers.is_empty() {
                continue;
            }
            let personal = |name: &weir_core::name::Identifier| {
                self.lineage.is_personal(&Field::new(Place::Curated, fact.name.as_str(), name.as_str()))
            };
            let hidden = fact.key.iter().any(personal);
            let keys = fact.key.iter().map(|name| name.as_str());
            let columns: Vec<&str> = pointers.iter().copied().chain(keys).collect();
            let files: Vec<DataFile> = table.files().cloned().collect();
            let mut found: Vec<BTreeMap<i64, Vec<Vec<Value>>>> = vec![BTreeMap::new(); pointers.len()];
            let mut reading = table.read(&files, Some(&columns))?;
            while let Some(batch) = reading.next().await {
                let batch = batch?;
                for (at, found) in found.iter_mut().enumerate() {
                    for (index, surrogate) in batch.column(at).as_primitive::<Int64Type>().values().iter().enumerate() {
                        if versions.iter().any(|version| version.surrogate_key == *surrogate) {
                            let key = row(&batch.columns()[pointers.len()..], index);
                            found.entry(*surrogate).or_default().push(key.map_err(wrong(fact.name.as_str()))?);
                        }
                    }
                }
            }
            self.zones.note(&table, files.len());
            for (pointer, mut found) in pointers.iter().zip(found) {
                for version in versions.iter_mut() {
                    let mut keys = found.remove(&version.surrogate_key).unwrap_or_default();
                    keys.sort();
                    let text = |key: &Vec<Value>| key.iter().map(ToString::to_string).collect::<Vec<_>>().join("/");
                    let first = keys.iter().take(self.facts);
                    version.facts.push(PointedBy {
                        table: fact.name.to_string(),
                        column: (*pointer).to_owned(),
                        count: keys.len(),
                        first: if hidden { vec![PERSONAL.to_owned()] } else { first.map(text).collect() },
                    });
                }
            }
        }
        Ok(())
    }

    /// The business key of a dimension's version, as texts in key order.
    pub(super) async fn key_of(&mut self, model: &Model, surrogate: i64) -> Result<Vec<String>, Diagnosed> {
        let bad = |reason: &str| OperateError::BadKey { table: model.name.to_string(), reason: reason.to_owned() };
        let ModelKind::Dimension { surrogate_key, .. } = &model.kind else {
            return Err(bad("only a dimension has surrogate keys").into());
        };
        let unknown = || OperateError::UnknownKey { table: model.name.to_string() };
        let table = self.zones.lake.table(Zone::Curated, model.name.as_str()).await?.ok_or_else(unknown)?;
        let mut columns = vec![surrogate_key.as_str()];
        columns.extend(model.key.iter().map(|name| name.as_str()));
        let files: Vec<DataFile> = table.files().cloned().collect();
        let mut reading = table.read(&files, Some(&columns))?;
        while let Some(batch) = reading.next().await {
            let batch = batch?;
            let surrogates = batch.column(0).as_primitive::<Int64Type>();
            let Some(at) = surrogates.values().iter().position(|found| *found == surrogate) else { continue };
            let key = row(&batch.columns()[1..], at).map_err(wrong(model.name.as_str()))?;
            self.zones.note(&table, files.len());
            if key.iter().any(Value::is_null) {
                return Err(bad("this is the unknown member, which has no business key").into());
            }
            return Ok(key.iter().map(ToString::to_string).collect());
        }
        Err(unknown().into())
    }
}

/// A version that the table does not hold yet.
fn unbuilt(made: &MadeVersion) -> Version {
    Version {
        surrogate_key: made.surrogate,
        effective_from: Value::Timestamp(made.version.from).to_string(),
        effective_to: Value::Timestamp(made.version.to).to_string(),
        is_current: made.version.is_current(),
        ..Version::default()
    }
}

/// Says which change did what to a version, on the version and on the changes.
fn explain(version: &mut Version, made: &MadeVersion, changes: &mut Changes) {
    version.opened_by = changes.number(made.version.opened_by);
    version.closed_by = made.closed_by.and_then(|row| changes.number(row));
    version.updated_by = changes.number(made.version.newest);
    changes.effect(version.closed_by, format!("ends version {}", version.number));
    changes.effect(version.opened_by, format!("opens version {}", version.number));
    if version.updated_by != version.opened_by {
        changes.effect(version.updated_by, format!("gives type 1 columns of version {}", version.number));
    }
}
