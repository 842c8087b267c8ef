//! From `models/curated/` to models: query and YAML held to each other, to their table and to other models.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::column::ColumnType;
use weir_core::name::{Identifier, ModelName};

use crate::check_table::{Tables, Typed, column_type, comparable, identifier};
use crate::error::{Fault, Place, Problem, suggest};
use crate::file::{DeletesWord, KindWord, LateParentWord, ModelFile, ScdWord};
use crate::model::{
    DateKey, Deletes, DimensionRef, LateParent, Milestone, Model, ModelColumn, ModelKind, Scd, SqlFile,
    date_dimension_columns,
};
use crate::order::{self, Edges};
use crate::sql::{self, RowQuery};

/// The two files of a model; `None` inside where the YAML could not be read.
pub(crate) struct ModelFiles {
    pub yaml: Option<Option<Typed<ModelFile>>>,
    pub sql: Option<SqlFile>,
}

/// Checks all models and puts them in build order; every problem is pushed.
pub(crate) fn check(files: &BTreeMap<String, ModelFiles>, tables: &Tables, problems: &mut Vec<Problem>) -> Vec<Model> {
    let mut queries = BTreeMap::new();
    for (name, model) in files {
        if let Some(query) = twin(name, model, problems) {
            queries.insert(name.clone(), query);
        }
    }
    let in_cycle = cycles(files, &queries, problems);
    let mut models = Vec::new();
    let mut over_models = Vec::new();
    for (name, model) in files {
        let Some(Some(yaml)) = &model.yaml else {
            continue;
        };
        let place = Place::whole(yaml.document.file.clone());
        let Some(name) = identifier(name, "the file's name", &place, problems) else {
            continue;
        };
        let check =
            ModelCheck { name: &name, yaml, files, tables, in_cycle: in_cycle.contains(name.as_str()), problems };
        if reads_models(yaml.value.kind) {
            over_models.push((name, model));
            continue;
        }
        models.extend(check.model(queries.get(name.as_str()), model.sql.as_ref()));
    }
    // What reads models is checked when those are known, views last.
    let is_view = |model: &ModelFiles| matches!(&model.yaml, Some(Some(yaml)) if yaml.value.kind == KindWord::View);
    over_models.sort_by_key(|(_, model)| is_view(model));
    for (name, model) in over_models {
        let (Some(Some(yaml)), Some(sql)) = (&model.yaml, &model.sql) else { continue };
        let check = ModelCheck { name: &name, yaml, files, tables, in_cycle: false, problems };
        let found = if is_view(model) { check.view(sql, &models) } else { check.aggregate(sql, &models) };
        models.extend(found);
    }
    one_date_dimension(files, problems);
    models.sort_by_key(|model| match model.kind {
        ModelKind::Dimension { .. } => 0,
        ModelKind::Fact { .. } => 1,
        ModelKind::DateDimension => 2,
        ModelKind::Aggregate { .. } => 3,
        ModelKind::View { .. } => 4,
    });
    for model in &models {
        dimension_keys(model, &models, files, problems);
    }
    models
}

/// The query of a model, if it has one that can be read.
fn twin(name: &str, model: &ModelFiles, problems: &mut Vec<Problem>) -> Option<RowQuery> {
    let (yaml_name, sql_name) = (format!("models/curated/{name}.yaml"), format!("models/curated/{name}.sql"));
    let date = matches!(&model.yaml, Some(Some(yaml)) if yaml.value.kind == KindWord::DateDimension);
    match (&model.yaml, &model.sql) {
        (None, Some(_)) => {
            problems.push(Problem::new(Fault::NoTwin(sql_name.clone(), yaml_name), Place::whole(sql_name)));
            None
        }
        (Some(Some(_)), None) if !date => {
            problems.push(Problem::new(Fault::NoTwin(yaml_name.clone(), sql_name), Place::whole(yaml_name)));
            None
        }
        (Some(Some(_)), Some(_)) if date => {
            let fault = Fault::Useless { path: sql_name.clone(), reason: "the date dimension is computed".into() };
            problems.push(Problem::new(fault, Place::whole(sql_name)));
            None
        }
        // Read where the models that it reads are known.
        (Some(Some(yaml)), Some(_)) if reads_models(yaml.value.kind) => None,
        (_, Some(file)) => match sql::read(&file.path.display().to_string(), &file.text) {
            Ok(query) => Some(query),
            Err(found) => {
                problems.extend(found);
                None
            }
        },
        (_, None) => None,
    }
}

/// Finds cycles among all references before anything else is said of them. Gives the cycles' members.
fn cycles(
    files: &BTreeMap<String, ModelFiles>,
    queries: &BTreeMap<String, RowQuery>,
    problems: &mut Vec<Problem>,
) -> BTreeSet<String> {
    let mut edges = Edges::new();
    let mut places = BTreeMap::new();
    for (name, model) in files {
        let waits_for = edges.entry(name.clone()).or_default();
        if let Some(Some(yaml)) = &model.yaml {
            for (index, reference) in yaml.value.dimensions.iter().flatten().enumerate() {
                waits_for.insert(reference.dimension.clone());
                let place = yaml.document.place_of(&format!("dimensions[{index}].dimension"));
                places.insert((name.clone(), reference.dimension.clone()), place);
            }
        }
        if let Some(query) = queries.get(name).filter(|query| is_curated(&query.schema)) {
            waits_for.insert(query.table.clone());
            places.entry((name.clone(), query.table.clone())).or_insert_with(|| query.table_place.clone());
        }
    }
    let mut members = BTreeSet::new();
    for cycle in order::cycles(&edges) {
        let next = cycle.get(1).or(cycle.first()).cloned().unwrap_or_default();
        let first = cycle.first().cloned().unwrap_or_default();
        let place = places.get(&(first.clone(), next)).cloned().unwrap_or_default();
        let way = cycle.iter().chain([&first]).map(String::as_str).collect::<Vec<_>>().join(" -> ");
        problems.push(Problem::new(Fault::Cycle(way), place));
        members.extend(cycle);
    }
    members
}

/// Kinds whose query reads other models.
fn reads_models(kind: KindWord) -> bool {
    matches!(kind, KindWord::Aggregate | KindWord::View)
}

pub(crate) fn is_curated(schema: &str) -> bool {
    matches!(schema, "curated" | "analytics")
}

fn one_date_dimension(files: &BTreeMap<String, ModelFiles>, problems: &mut Vec<Problem>) {
    let dates = files.values().filter_map(|model| match &model.yaml {
        Some(Some(yaml)) if yaml.value.kind == KindWord::DateDimension => Some(yaml),
        _ => None,
    });
    for second in dates.skip(1) {
        let fault = Fault::Duplicate { what: "model of kind", name: "date_dimension".into() };
        problems.push(Problem::new(fault, second.document.place_of("kind")));
    }
}

pub(crate) struct ModelCheck<'a, 't> {
    pub(crate) name: &'a ModelName,
    pub(crate) yaml: &'a Typed<ModelFile>,
    pub(crate) files: &'a BTreeMap<String, ModelFiles>,
    pub(crate) tables: &'t Tables,
    pub(crate) in_cycle: bool,
    pub(crate) problems: &'a mut Vec<Problem>,
}

impl<'t> ModelCheck<'_, 't> {
    pub(crate) fn push(&mut self, fault: Fault, path: &str, hint: Option<String>) {
        let place = self.yaml.document.place_of(path);
        self.problems.push(Problem::new(fault, place).hint(hint));
    }

    pub(crate) fn useless(&mut self, path: &str, reason: &str) {
        self.push(Fault::Useless { path: path.to_owned(), reason: reason.to_owned() }, path, None);
    }

    /// Everything beside `kind` and these keys is useless.
    pub(crate) fn takes_only(&mut self, keys: &[&str], reason: &str) {
        let file = &self.yaml.value;
        for (key, there) in [
            ("key", !file.key.is_empty()),
            ("columns", !file.columns.is_empty()),
            ("surrogate_key", file.surrogate_key.is_some()),
            ("durable_key", file.durable_key.is_some()),
            ("deletes", file.deletes.is_some()),
            ("event_time", file.event_time.is_some()),
            ("dimensions", file.dimensions.is_some()),
            ("date_keys", file.date_keys.is_some()),
            ("milestones", file.milestones.is_some()),
            ("tests", file.tests.is_some()),
        ] {
            if there && !keys.contains(&key) {
                self.useless(key, reason);
            }
        }
    }

    /// Whether the YAML declares the columns that the query gives; else that is a problem.
    pub(crate) fn declares(&mut self, given: &[&str]) -> bool {
        let declared: Vec<&str> = self.yaml.value.columns.iter().map(|column| column.name.as_str()).collect();
        if given == declared {
            return true;
        }
        let (given, declared) = (given.join(", "), declared.join(", "));
        let differ = format!("the query of `{}` gives ({given}), its YAML declares ({declared})", self.name);
        self.push(Fault::ColumnsDiffer(differ), "columns", None);
        false
    }

    pub(crate) fn missing(&mut self, key: &str) {
        self.push(Fault::MissingKey { key: key.to_owned(), parent: String::new() }, "", None);
    }

    fn model(mut self, query: Option<&RowQuery>, sql: Option<&SqlFile>) -> Option<Model> {
        let file = &self.yaml.value;
        if file.kind == KindWord::DateDimension {
            return Some(self.date_dimension());
        }
        if file.columns.is_empty() {
            self.missing("columns");
        }
        if file.key.is_empty() {
            self.missing("key");
        }
        let key: Vec<Identifier> = self.key();
        let columns = self.columns(&key);
        let kind = match file.kind {
            KindWord::Dimension => self.dimension(),
            _ => Some(self.fact(&columns)),
        };
        let source = query.and_then(|query| self.source(query));
        if let (Some(query), Some(source)) = (query, source) {
            self.query(query, source, &columns, &key);
        }
        Some(Model {
            name: self.name.clone(),
            kind: kind?,
            sql: Some(sql?.clone()),
            source: Some(source?.name.clone()),
            key,
            columns,
        })
    }

    fn date_dimension(&mut self) -> Model {
        self.takes_only(&[], "the date dimension is computed and takes nothing but its kind");
        let columns = date_dimension_columns();
        let key = columns.first().map(|column| column.name.clone()).into_iter().collect();
        Model { name: self.name.clone(), kind: ModelKind::DateDimension, sql: None, source: None, key, columns }
    }

    pub(crate) fn key(&mut self) -> Vec<Identifier> {
        let file = &self.yaml.value;
        let mut out: Vec<Identifier> = Vec::new();
        for (index, name) in file.key.iter().enumerate() {
            let path = format!("key[{index}]");
            if !file.columns.iter().any(|column| column.name == *name) {
                let fault = Fault::KeyIsNoColumn { key: name.clone(), of: format!("model `{}`", self.name) };
                let hint = suggest(name, file.columns.iter().map(|column| column.name.as_str()));
                self.push(fault, &path, hint);
            } else if out.iter().any(|other| other.as_str() == name) {
                self.push(Fault::Duplicate { what: "key column", name: name.clone() }, &path, None);
            } else if let Ok(name) = name.parse() {
                out.push(name);
            }
        }
        out
    }

    pub(crate) fn columns(&mut self, key: &[Identifier]) -> Vec<ModelColumn> {
        let file = &self.yaml.value;
        let mut out: Vec<ModelColumn> = Vec::new();
        for (index, column) in file.columns.iter().enumerate() {
            let path = |key: &str| format!("columns[{index}].{key}");
            let place = |key: &str| self.yaml.document.place_of(&path(key));
            let name = identifier(&column.name, &path("name"), &place("name"), self.problems);
            let kind = column_type(&column.kind, &path("type"), &place("type"), self.problems);
            let (Some(name), Some(kind)) = (name, kind) else {
                continue;
            };
            if out.iter().any(|other| other.name == name) {
                self.push(Fault::Duplicate { what: "column", name: name.to_string() }, &path("name"), None);
                continue;
            }
            let is_key = key.contains(&name);
            let scd = match (file.kind, is_key, column.scd) {
                (KindWord::Dimension, true, None) => Scd::Key,
                (KindWord::Dimension, true, Some(_)) => {
                    self.useless(&path("scd"), "a business key never changes within its key");
                    Scd::Key
                }
                (KindWord::Dimension, false, Some(ScdWord::Type1)) => Scd::Type1,
                (KindWord::Dimension, false, Some(ScdWord::Type1Current)) => Scd::Type1Current,
                (KindWord::Dimension, false, Some(ScdWord::Type2)) => Scd::Type2,
                (KindWord::Dimension, false, None) => {
                    let fault = Fault::MissingKey { key: "scd".into(), parent: format!("columns[{index}]") };
                    let hint = format!("say how `{name}` changes: type1, type1_current or type2");
                    self.push(fault, &path("name"), Some(hint));
                    Scd::Type1
                }
                (_, _, Some(_)) => {
                    self.useless(&path("scd"), "only a dimension keeps versions");
                    Scd::None
                }
                (_, true, None) => Scd::Key,
                (_, false, None) => Scd::None,
            };
            out.push(ModelColumn { name, kind, scd });
        }
        out
    }

    fn dimension(&mut self) -> Option<ModelKind> {
        let file = &self.yaml.value;
        for (key, there) in [
            ("event_time", file.event_time.is_some()),
            // Inside a cycle the cycle is the news.
            ("dimensions", file.dimensions.is_some() && !self.in_cycle),
            ("date_keys", file.date_keys.is_some()),
            ("milestones", file.milestones.is_some()),
        ] {
            if there {
                self.useless(key, "only facts have it");
            }
        }
        let Some(surrogate) = &file.surrogate_key else {
            self.missing("surrogate_key");
            return None;
        };
        let place = self.yaml.document.place_of("surrogate_key");
        let surrogate_key = identifier(surrogate, "surrogate_key", &place, self.problems)?;
        let deletes = match file.deletes {
            None | Some(DeletesWord::Close) => Deletes::Close,
            Some(DeletesWord::Mark) => Deletes::Mark,
            Some(DeletesWord::Ignore) => Deletes::Ignore,
        };
        let mut added = vec![("surrogate_key".to_owned(), surrogate_key.clone())];
        let durable_key =
            file.durable_key.as_ref().and_then(|name| self.added(name, "durable_key".to_owned(), &mut added));
        self.added_columns(&added);
        Some(ModelKind::Dimension { surrogate_key, durable_key, deletes })
    }

    /// Columns that Weir adds must not meet the query's or each other.
    fn added_columns(&mut self, added: &[(String, Identifier)]) {
        let marks = matches!(self.yaml.value.deletes, Some(DeletesWord::Mark));
        let reserved: &[&str] = match self.yaml.value.kind {
            KindWord::Dimension if marks => {
                &["effective_from", "effective_to", "is_current", "is_inferred", "is_deleted"]
            }
            KindWord::Dimension => &["effective_from", "effective_to", "is_current", "is_inferred"],
            _ => &["event_time"],
        };
        let mut taken: BTreeSet<String> = reserved.iter().map(|name| (*name).to_owned()).collect();
        for (index, column) in self.yaml.value.columns.iter().enumerate() {
            if taken.contains(&column.name) {
                let fault = Fault::Duplicate { what: "column", name: column.name.clone() };
                let hint = "Weir adds a column of this name itself; rename yours".to_owned();
                self.push(fault, &format!("columns[{index}].name"), Some(hint));
            }
        }
        taken.extend(self.yaml.value.columns.iter().map(|column| column.name.clone()));
        for (path, name) in added {
            if !taken.insert(name.to_string()) {
                self.push(Fault::Duplicate { what: "column", name: name.to_string() }, path, None);
            }
        }
    }

    fn fact(&mut self, columns: &[ModelColumn]) -> ModelKind {
        let file = &self.yaml.value;
        for (key, there) in [
            ("surrogate_key", file.surrogate_key.is_some()),
            ("durable_key", file.durable_key.is_some()),
            ("deletes", file.deletes.is_some()),
        ] {
            if there {
                self.useless(key, "only dimensions have it");
            }
        }
        let moment =
            |kind| matches!(kind, ColumnType::Date | ColumnType::DateTime2 { .. } | ColumnType::DateTimeOffset);
        let event_time = file
            .event_time
            .as_ref()
            .and_then(|name| self.output(columns, name, "event_time", moment, "a date or timestamp"));
        let mut added = Vec::new();
        let mut dimensions = Vec::new();
        for (index, reference) in file.dimensions.iter().flatten().enumerate() {
            let path = |key: &str| format!("dimensions[{index}].{key}");
            let key_column = self.added(&reference.key_column, path("key_column"), &mut added);
            let known = self.dimension_named(&reference.dimension, &path("dimension"));
            let on: Vec<Identifier> = (reference.on.iter().enumerate())
                .filter_map(|(i, name)| {
                    self.output(columns, name, &format!("dimensions[{index}].on[{i}]"), |_| true, "")
                })
                .collect();
            if let (Some(key_column), Some(dimension), true) = (key_column, known, on.len() == reference.on.len()) {
                let late_parent = match reference.late_parent {
                    None | Some(LateParentWord::Infer) => LateParent::Infer,
                    Some(LateParentWord::Unknown) => LateParent::Unknown,
                };
                dimensions.push(DimensionRef { key_column, dimension, on, late_parent });
            }
        }
        let mut date_keys = Vec::new();
        for (index, key) in file.date_keys.iter().flatten().enumerate() {
            let path = |key: &str| format!("date_keys[{index}].{key}");
            let key_column = self.added(&key.key_column, path("key_column"), &mut added);
            let from = self.output(columns, &key.from, &path("from"), moment, "a date or timestamp");
            if let (Some(key_column), Some(from)) = (key_column, from) {
                date_keys.push(DateKey { key_column, from });
            }
        }
        if file.date_keys.is_some() && !self.any_date_dimension() {
            let hint = "write `models/curated/dim_date.yaml` with `kind: date_dimension`".to_owned();
            self.push(Fault::UnknownModel("dim_date".into()), "date_keys", Some(hint));
        }
        let mut milestones = Vec::new();
        let text = |kind| matches!(kind, ColumnType::Text { .. });
        for (index, milestone) in file.milestones.iter().flatten().enumerate() {
            let path = |key: &str| format!("milestones[{index}].{key}");
            let column = self.added(&milestone.column, path("column"), &mut added);
            let when_column = self.output(columns, &milestone.when_column, &path("when_column"), text, "a text");
            if let (Some(column), Some(when_column)) = (column, when_column) {
                milestones.push(Milestone { column, when_column, equals: milestone.equals.clone() });
            }
        }
        self.added_columns(&added);
        ModelKind::Fact { event_time, dimensions, date_keys, milestones }
    }

    fn added(&mut self, name: &str, path: String, added: &mut Vec<(String, Identifier)>) -> Option<Identifier> {
        let place = self.yaml.document.place_of(&path);
        let name = identifier(name, &path, &place, self.problems)?;
        added.push((path, name.clone()));
        Some(name)
    }

    /// An output column by name, of a type that fits.
    fn output(
        &mut self,
        columns: &[ModelColumn],
        name: &str,
        path: &str,
        fits: impl Fn(ColumnType) -> bool,
        wanted: &str,
    ) -> Option<Identifier> {
        let Some(column) = columns.iter().find(|column| column.name.as_str() == name) else {
            // A declared column that is itself wrong was reported there.
            if !self.yaml.value.columns.iter().any(|column| column.name == name) {
                let of = format!("model `{}`", self.name);
                let fault = Fault::UnknownColumn { column: name.to_owned(), of };
                self.push(fault, path, suggest(name, columns.iter().map(|column| column.name.as_str())));
            }
            return None;
        };
        if !fits(column.kind) {
            let reason = format!("column `{name}` is {}, not {wanted}", column.kind);
            self.push(Fault::BadValue { path: path.to_owned(), reason }, path, None);
            return None;
        }
        Some(column.name.clone())
    }

    fn dimension_named(&mut self, name: &str, path: &str) -> Option<ModelName> {
        let names = |kind: Option<KindWord>| {
            self.files.iter().filter_map(move |(name, model)| match &model.yaml {
                Some(Some(yaml)) if kind.is_none_or(|kind| yaml.value.kind == kind) => Some(name.as_str()),
                _ => None,
            })
        };
        if names(Some(KindWord::Dimension)).any(|dimension| dimension == name) {
            return name.parse().ok();
        }
        if self.in_cycle {
            return None;
        }
        match self.files.get(name).map(|model| &model.yaml) {
            // Its own problems say why it is not there.
            Some(Some(None)) | Some(None) => {}
            Some(Some(Some(other))) => {
                let reason = match other.value.kind {
                    KindWord::DateDimension => format!("`{name}` is the date dimension"),
                    _ => format!("`{name}` is no dimension"),
                };
                let hint = match other.value.kind {
                    KindWord::DateDimension => "point to it under `date_keys`",
                    _ => "point to a model of kind dimension",
                };
                self.push(Fault::BadValue { path: path.to_owned(), reason }, path, Some(hint.to_owned()));
            }
            None => {
                let hint = suggest(name, names(Some(KindWord::Dimension)));
                self.push(Fault::UnknownModel(name.to_owned()), path, hint);
            }
        }
        None
    }

    pub(crate) fn is_view(&self, name: &str) -> bool {
        matches!(self.files.get(name).map(|model| &model.yaml), Some(Some(Some(yaml))) if yaml.value.kind == KindWord::View)
    }

    fn any_date_dimension(&self) -> bool {
        self.files
            .values()
            .any(|model| matches!(&model.yaml, Some(Some(yaml)) if yaml.value.kind == KindWord::DateDimension))
    }
}

/// A fact's `on` columns must match its dimension's key, in number and type.
fn dimension_keys(model: &Model, models: &[Model], files: &BTreeMap<String, ModelFiles>, problems: &mut Vec<Problem>) {
    let ModelKind::Fact { dimensions, .. } = &model.kind else {
        return;
    };
    let Some(Some(Some(yaml))) = files.get(model.name.as_str()).map(|files| &files.yaml) else {
        return;
    };
    for reference in dimensions {
        let Some(dimension) = models.iter().find(|other| other.name == reference.dimension) else {
            continue;
        };
        let written = yaml.value.dimensions.iter().flatten();
        let index = written.clone().position(|r| r.key_column == reference.key_column.as_str()).unwrap_or(0);
        let path = format!("dimensions[{index}].on");
        let names = |names: &[Identifier]| names.iter().map(Identifier::as_str).collect::<Vec<_>>().join(", ");
        let kinds = |model: &Model, names: &[Identifier]| -> Vec<ColumnType> {
            names.iter().filter_map(|name| model.column(name.as_str())).map(|column| column.kind).collect()
        };
        let (ours, theirs) = (kinds(model, &reference.on), kinds(dimension, &dimension.key));
        let fits = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| comparable(*a, *b));
        if !fits {
            let reason = format!(
                "({}) does not match the key ({}) of `{}`",
                names(&reference.on),
                names(&dimension.key),
                dimension.name
            );
            let hint = "name one column per key column of the dimension, of the same type, in its order".to_owned();
            let problem = Problem::new(Fault::BadValue { path: path.clone(), reason }, yaml.document.place_of(&path));
            problems.push(problem.hint(Some(hint)));
        }
    }
}
