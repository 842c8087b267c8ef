//! What the contract's rules say of a row: as it was judged where it lies in quarantine, else judged anew.

use weir_core::column::Column;
use weir_core::diagnosis::Diagnosed;
use weir_core::name::{Identifier, TableName};
use weir_core::value::Value;
use weir_core::zone::Zone;
use weir_project::{Rule, Severity, Table};

use super::Trace;
use super::find::Located;
use super::passport::{PERSONAL, Verdict};
use crate::lineage::{Field, How, Place};
use crate::reconcile::zones::unreadable;
use weir_lake::row_batch;

impl Trace<'_> {
    /// Every expectation of the contract, and for a quarantined row the rule that took it.
    pub(super) async fn verdicts(
        &mut self,
        table: &Table,
        row: &Located,
        quarantined: bool,
    ) -> Result<Vec<Verdict>, Diagnosed> {
        let shown = |column: &str, value: &Value| {
            let personal = table.pii.iter().any(|pii| pii.as_str() == column);
            if personal { PERSONAL.to_owned() } else { value.to_string() }
        };
        let mut verdicts = Vec::new();
        let taken_by = row.value("_rule").to_string();
        let of_contract = table.expectations.iter().any(|expectation| expectation.name == taken_by);
        if quarantined && !of_contract {
            // The rules that every table has: `type` and `key`.
            let column = row.value("_column").to_string();
            let value = Some(row.value("_value")).filter(|value| !value.is_null()).map(|v| shown(&column, &v));
            verdicts.push(Verdict { rule: taken_by.clone(), column, verdict: "quarantined", value });
        }
        let deleted = row.value("_op") == Value::Text("d".to_owned());
        for expectation in &table.expectations {
            let (rule, column) = (expectation.name.clone(), expectation.column.to_string());
            let value = row.value(&column);
            let broken = match &expectation.rule {
                _ if quarantined && rule == taken_by => true,
                _ if deleted => {
                    verdicts.push(Verdict { rule, column, verdict: "not judged", value: None });
                    continue;
                }
                Rule::Reference { table, column } => !value.is_null() && !self.known(table, column, &value).await?,
                other => match row.row.column_by_name(&column) {
                    Some(array) => {
                        let judged = weir_staging::rules::broken(other, array, None);
                        let unfit = |_| unreadable("staging", table.name.as_str(), format!("rule `{rule}`"));
                        judged.map_err(unfit)?.value(0)
                    }
                    None => false,
                },
            };
            let verdict = match (broken, expectation.severity) {
                (false, _) => "passed",
                (true, Severity::Warn) => "warned",
                (true, Severity::Quarantine) => "quarantined",
            };
            let value = broken.then(|| shown(&column, &value));
            verdicts.push(Verdict { rule, column, verdict, value });
        }
        Ok(verdicts)
    }

    /// Whether a column of a staging table holds a value now; looked up once.
    async fn known(&mut self, table: &TableName, column: &Identifier, value: &Value) -> Result<bool, Diagnosed> {
        let looked_up = (table.to_string(), column.to_string(), value.clone());
        if let Some(found) = self.there.get(&looked_up) {
            return Ok(*found);
        }
        let found = self.is_there(table, column, value).await?;
        self.there.insert(looked_up, found);
        Ok(found)
    }

    /// Whether a column of a staging table holds a value now: by the bucket of a model that has it as its key,
    /// else in the files whose statistics allow it.
    async fn is_there(&mut self, name: &TableName, column: &Identifier, value: &Value) -> Result<bool, Diagnosed> {
        let staged = Field::new(Place::Staging, name.as_str(), column.as_str());
        let project = self.project;
        for model in project.models.iter().filter(|model| model.key.len() == 1) {
            let key = Field::new(Place::Curated, model.name.as_str(), model.key[0].as_str());
            let plain =
                |edge: &weir_curated::lineage::Edge| edge.to == key && edge.from == staged && edge.how == How::Identity;
            if !self.lineage.edges().any(plain) {
                continue;
            }
            let kind = model.column(model.key[0].as_str()).map(|column| column.kind);
            let of_model = kind.map(|kind| Column { name: model.key[0].clone(), kind, nullable: true });
            let made = of_model.map(|column| row_batch(&[column], &[vec![value.clone()]]));
            let Some(Ok(key)) = made else { continue };
            if let Some(found) = weir_curated::trace::history(project, self.zones.lake, model, key.columns()).await? {
                self.zones.note(&found.table, found.files);
                if found.rows.num_rows() > 0 {
                    return Ok(true);
                }
            }
        }
        let Some(table) = self.zones.lake.table(Zone::Staging, name.as_str()).await? else { return Ok(false) };
        let files: Vec<_> = table.files().filter(|file| file.may_hold_value(column.as_str(), value)).cloned().collect();
        for file in files {
            let one = std::slice::from_ref(&file);
            let columns = [column.as_str()];
            let found = self.zones.locate(&table, one, Some(&columns), |batch| {
                let same = |row: &usize| {
                    weir_envelope::values::value_at(batch.column(0).as_ref(), *row).is_some_and(|v| v == *value)
                };
                (0..batch.num_rows()).filter(same).collect()
            });
            if !found.await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
