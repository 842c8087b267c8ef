//! A view's query held to the models that it reads.

use crate::check_aggregate::Known;
use crate::check_model::ModelCheck;
use crate::error::{Fault, Problem, suggest};
use crate::model::{Model, ModelKind, SqlFile};
use crate::sql_view;

impl ModelCheck<'_, '_> {
    /// Checks a view against the models that it reads.
    pub(crate) fn view(mut self, sql: &SqlFile, models: &[Model]) -> Option<Model> {
        self.takes_only(&[], "a view is its query and nothing else");
        let query = match sql_view::read(&sql.path.display().to_string(), &sql.text) {
            Ok(query) => query,
            Err(found) => {
                self.problems.extend(found);
                return None;
            }
        };
        let mut known = Vec::new();
        for read in &query.reads {
            let found = models.iter().find(|model| model.name.as_str() == read.table);
            let of_curated = read.schema == "curated";
            let problem = match found {
                Some(model) if of_curated && !self.is_view(&read.table) => {
                    known.push(Known::new(read, model));
                    continue;
                }
                _ if of_curated && self.is_view(&read.table) => {
                    Some(Fault::BadView(format!("`{}`, which is a view itself,", read.table)))
                }
                _ if !of_curated => {
                    let instead = format!("the table `{}.{}` instead of `curated.<model>`", read.schema, read.table);
                    Some(Fault::BadView(instead))
                }
                // Its own problems say why it is not there.
                _ if self.files.contains_key(&read.table) => None,
                _ => Some(Fault::UnknownModel(read.table.clone())),
            };
            let hint = match problem {
                Some(Fault::UnknownModel(_)) => suggest(&read.table, models.iter().map(|model| model.name.as_str())),
                _ => None,
            };
            self.problems.extend(problem.map(|fault| Problem::new(fault, read.place.clone()).hint(hint)));
            return None;
        }
        for input in &query.inputs {
            self.resolve(input, &known, Fault::BadView);
        }
        let reads = known.iter().map(|table| table.model.name.clone()).collect();
        Some(Model {
            name: self.name.clone(),
            kind: ModelKind::View { reads },
            sql: Some(sql.clone()),
            source: None,
            key: Vec::new(),
            columns: Vec::new(),
        })
    }
}
