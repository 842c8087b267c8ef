//! The shell around the checks: finds and reads the files, lets them be checked, and gives one answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::check_model::{self, ModelFiles};
use crate::check_settings;
use crate::check_table::{self, TableFiles, Typed, identifier};
use crate::check_unit_test;
use crate::error::{Fault, Place, Problem, ProjectError, suggest};
use crate::migration;
use crate::model::SqlFile;
use crate::project::Project;
use crate::resolve::{Resolved, ResolvedSetting, resolve};
use crate::schema::schemas;
use crate::shape::differences;
use crate::sql::without_semicolon;
use crate::yaml::{self, Document};

/// Reads and checks the project in `dir` for one environment. `overrides` are the flags'
/// `section.key` and value; they win over `WEIR__SECTION__KEY`, the environment's file, `weir.yaml`
/// and the defaults, in this order.
///
/// Offline: no service is asked and no secret resolved. Fails with every problem of every file.
pub fn load(dir: &Path, env: &str, overrides: &[(String, String)]) -> Result<Project, ProjectError> {
    load_with(dir, env, overrides, &process_variables())
}

/// Every problem of the project in `dir`, in the order of files and lines; none when it is right.
pub fn validate(dir: &Path, env: &str) -> Vec<Problem> {
    load(dir, env, &[]).map_or_else(|error| error.problems, |_| Vec::new())
}

/// The environments that have a file, by name.
pub fn environments(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = yaml_files(dir, "environments", &mut Vec::new()).into_keys().collect();
    names.sort();
    names
}

/// Each setting's value and origin, by path, for `config show`. Secrets show as their references.
pub fn resolved_settings(
    dir: &Path,
    env: &str,
    overrides: &[(String, String)],
) -> Result<Vec<ResolvedSetting>, ProjectError> {
    let mut problems = Vec::new();
    let (_, resolved) = settings(dir, env, overrides, &process_variables(), &mut problems);
    match check_settings::check(&resolved) {
        Err(found) => add_new(&mut problems, found),
        Ok(_) if problems.is_empty() => return Ok(resolved.into_values().collect()),
        Ok(_) => {}
    }
    Err(ProjectError::new(problems))
}

/// The variables that are settings. One that is no Unicode cannot be, and is left out.
fn process_variables() -> Vec<(String, String)> {
    let pairs =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut out: Vec<_> = pairs.filter(|(name, _)| name.starts_with("WEIR__")).collect();
    out.sort();
    out
}

pub(crate) fn load_with(
    dir: &Path,
    env: &str,
    overrides: &[(String, String)],
    variables: &[(String, String)],
) -> Result<Project, ProjectError> {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let mut problems = Vec::new();
    if !dir.join("weir.yaml").is_file() {
        let fault = match fs::metadata(dir.join("weir.yaml")) {
            Err(error) => unreadable(&dir.join("weir.yaml"), &error),
            Ok(_) => Fault::Unreadable { path: dir.join("weir.yaml"), reason: "it is no file".into() },
        };
        return Err(Problem::new(fault, Place::whole("weir.yaml")).into());
    }
    let (weir, resolved) = settings(&dir, env, overrides, variables, &mut problems);
    let name = weir.and_then(|document| {
        let name = document.root.to_json().get("name")?.as_str()?.to_owned();
        identifier(&name, "name", &document.place_of("name"), &mut problems)
    });
    let settings = check_settings::check(&resolved).map_err(|found| add_new(&mut problems, found)).ok();
    let tables = check_table::check(&table_files(&dir, &mut problems), &mut problems);
    let files = model_files(&dir, &mut problems);
    let models = check_model::check(&files, &tables, &mut problems);
    let tests = check_unit_test::check(&files, &models, &tables, &mut problems);
    let migrations = migration::check(migration_files(&dir, &mut problems), &mut problems);
    match (name, settings) {
        (Some(name), Some(settings)) if problems.is_empty() => Ok(Project {
            name,
            env: env.to_owned(),
            dir,
            stream: settings.stream,
            lake: settings.lake,
            landing: settings.landing,
            staging: settings.staging,
            curated: settings.curated,
            warehouse: settings.warehouse,
            metrics: settings.metrics,
            lineage: settings.lineage,
            catalog: settings.catalog,
            recovery: settings.recovery,
            tables: tables.tables,
            models,
            tests,
            migrations,
        }),
        _ => Err(ProjectError::new(problems)),
    }
}

/// Reads `weir.yaml` and the environment's file and lays all sources of settings over each other.
fn settings(
    dir: &Path,
    env: &str,
    overrides: &[(String, String)],
    variables: &[(String, String)],
    problems: &mut Vec<Problem>,
) -> (Option<Document>, Resolved) {
    let weir = document(dir, "weir.yaml", &schemas().weir, problems);
    let files = yaml_files(dir, "environments", problems);
    let environment = match files.get(env) {
        Some(file) => document(dir, file, &schemas().environment, problems),
        None => {
            let fault = Fault::UnknownEnvironment(env.to_owned());
            let hint = suggest(env, files.keys().map(String::as_str));
            problems.push(Problem::new(fault, Place::whole("environments")).hint(hint));
            None
        }
    };
    let documents: Vec<&Document> = weir.iter().chain(environment.iter()).collect();
    let (resolved, found) = resolve(&documents, variables, overrides);
    problems.extend(found);
    (weir, resolved)
}

/// A value whose shape was refused is not refused again for its content.
fn add_new(problems: &mut Vec<Problem>, found: Vec<Problem>) {
    let place = |problem: &Problem| (problem.place.file.clone(), problem.place.line, problem.place.column);
    let taken: Vec<_> = problems.iter().filter(|problem| problem.place.line > 0).map(place).collect();
    problems.extend(found.into_iter().filter(|problem| !taken.contains(&place(problem))));
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

fn text(dir: &Path, file: &str, problems: &mut Vec<Problem>) -> Option<String> {
    match fs::read_to_string(dir.join(file)) {
        Ok(text) => Some(text),
        Err(error) => {
            problems.push(Problem::new(unreadable(&dir.join(file), &error), Place::whole(file)));
            None
        }
    }
}

/// A file as a tree, held to its schema. Unknown keys and the like are reported and do not hide the rest.
fn document(dir: &Path, file: &str, schema: &Json, problems: &mut Vec<Problem>) -> Option<Document> {
    let text = text(dir, file, problems)?;
    let (document, found) = yaml::read(file, &text);
    problems.extend(found);
    problems.extend(document.iter().flat_map(|document| differences(document, schema)));
    document
}

fn typed<T: DeserializeOwned>(dir: &Path, file: &str, schema: &Json, problems: &mut Vec<Problem>) -> Option<Typed<T>> {
    let before = problems.len();
    let document = document(dir, file, schema, problems)?;
    match serde_json::from_value(document.root.to_json()) {
        Ok(value) => Some(Typed { document, value }),
        Err(error) => {
            // The schema says the same with a place; only what it does not know is said here.
            if problems.len() == before {
                problems.push(Problem::new(Fault::Syntax(error.to_string()), Place::whole(file)));
            }
            None
        }
    }
}

/// Files of a folder by stem, by extension; anything else in it would do nothing and is reported.
fn files_in(
    dir: &Path,
    folder: &str,
    extensions: &[&str],
    problems: &mut Vec<Problem>,
) -> Vec<(String, String, PathBuf)> {
    let entries = match fs::read_dir(dir.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems.push(Problem::new(unreadable(&dir.join(folder), &error), Place::whole(folder)));
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                problems.push(Problem::new(unreadable(&dir.join(folder), &error), Place::whole(folder)));
                continue;
            }
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "README.md" {
            continue;
        }
        match name.rsplit_once('.') {
            Some((stem, extension)) if extensions.contains(&extension) => {
                out.push((stem.to_owned(), extension.to_owned(), PathBuf::from(format!("{folder}/{name}"))));
            }
            _ => {
                let wanted = extensions.iter().map(|e| format!("`*.{e}`")).collect::<Vec<_>>().join(" and ");
                let reason = format!("only {wanted} is read in `{folder}`");
                let file = format!("{folder}/{name}");
                problems.push(Problem::new(Fault::Useless { path: file.clone(), reason }, Place::whole(file)));
            }
        }
    }
    out.sort();
    out
}

fn yaml_files(dir: &Path, folder: &str, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let files = files_in(dir, folder, &["yaml"], problems);
    files.into_iter().map(|(stem, _, path)| (stem, path.display().to_string())).collect()
}

fn sql_file(dir: &Path, path: &Path, problems: &mut Vec<Problem>) -> Option<SqlFile> {
    let text = text(dir, &path.display().to_string(), problems)?;
    Some(SqlFile { path: path.to_owned(), text: without_semicolon(&text) })
}

fn table_files(dir: &Path, problems: &mut Vec<Problem>) -> TableFiles {
    let source_names = yaml_files(dir, "sources", problems);
    if source_names.is_empty() {
        let fault = Fault::Unreadable { path: dir.join("sources"), reason: "it holds no `*.yaml`".into() };
        problems.push(Problem::new(fault, Place::whole("sources")));
    }
    let mut sources = Vec::new();
    for file in source_names.values() {
        sources.extend(typed(dir, file, &schemas().source, problems));
    }
    let source_missing = sources.len() < source_names.len() || source_names.is_empty();
    let contracts = yaml_files(dir, "contracts", problems).into_iter();
    let contracts = contracts.map(|(name, file)| (name, typed(dir, &file, &schemas().contract, problems))).collect();
    let mut cleaning = BTreeMap::new();
    for (name, _, path) in files_in(dir, "models/staging", &["sql"], problems) {
        cleaning.extend(sql_file(dir, &path, problems).map(|file| (name, file)));
    }
    TableFiles { sources, contracts, cleaning, source_missing }
}

/// As they are written: what is applied once is known by every letter of its file.
fn migration_files(dir: &Path, problems: &mut Vec<Problem>) -> Vec<(String, SqlFile)> {
    let files = files_in(dir, "warehouse/migrations", &["sql"], problems).into_iter();
    let read = |(name, _, path): (String, String, PathBuf)| {
        let text = text(dir, &path.display().to_string(), problems)?;
        Some((name, SqlFile { path, text }))
    };
    files.filter_map(read).collect()
}

fn model_files(dir: &Path, problems: &mut Vec<Problem>) -> BTreeMap<String, ModelFiles> {
    let mut out: BTreeMap<String, ModelFiles> = BTreeMap::new();
    for (name, extension, path) in files_in(dir, "models/curated", &["sql", "yaml"], problems) {
        let model = out.entry(name).or_insert(ModelFiles { yaml: None, sql: None });
        if extension == "sql" {
            model.sql = sql_file(dir, &path, problems);
        } else {
            model.yaml = Some(typed(dir, &path.display().to_string(), &schemas().model, problems));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Origin;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn project(weir: &str, dev: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("environments")).expect("a folder");
        fs::write(dir.path().join("weir.yaml"), weir).expect("written");
        fs::write(dir.path().join("environments/dev.yaml"), dev).expect("written");
        dir
    }

    #[test]
    fn flag_beats_variable_beats_environment_beats_weir_yaml_beats_default() {
        let all = ("name: a\nlanding: {max_rows: 2}\n", "landing:\n  max_rows: 3\n");
        let none = ("name: a\n", "{}\n");
        let only_weir = (all.0, none.1);
        let variable = [("WEIR__LANDING__MAX_ROWS", "4")];
        let flag = [("landing.max_rows", "5")];
        for ((weir, dev), variables, flags, value, origin) in [
            (none, &[][..], &[][..], "100000", Origin::Default.to_string()),
            (only_weir, &[][..], &[][..], "2", "weir.yaml:2".into()),
            (all, &[][..], &[][..], "3", "environments/dev.yaml:2".into()),
            (all, &variable[..], &[][..], "4", "WEIR__LANDING__MAX_ROWS".into()),
            (all, &variable[..], &flag[..], "5", "flag".into()),
        ] {
            let dir = project(weir, dev);
            let mut problems = Vec::new();
            let (_, resolved) = settings(dir.path(), "dev", &pairs(flags), &pairs(variables), &mut problems);
            assert_eq!(problems, []);
            let setting = &resolved["landing.max_rows"];
            assert_eq!((setting.value.as_str(), setting.origin.to_string()), (value, origin));
        }
    }

    #[test]
    fn a_flag_or_variable_that_names_no_setting_is_refused_with_what_was_meant() {
        let dir = project("name: a\n", "");
        let mut problems = Vec::new();
        let variables = pairs(&[("WEIR__LANDING__MAXWAIT", "1s"), ("WEIR__STREAM__CLIENT__SECURITY_PROTOCOL", "SSL")]);
        let (_, resolved) = settings(
            dir.path(),
            "dev",
            &pairs(&[("lake.rot", "x"), ("stream.client", "x")]),
            &variables,
            &mut problems,
        );
        let found: Vec<_> = problems
            .iter()
            .map(|p| format!("{} {}: {}", p.place, p.fault, p.hint.as_deref().unwrap_or_default()))
            .collect();
        insta::assert_snapshot!(found.join("\n"), @r#"
    environment `WEIR__LANDING__MAXWAIT` is no setting: did you mean `WEIR__LANDING__MAX_WAIT`?
    --set `lake.rot` is no setting: did you mean `lake.root`?
    --set `stream.client` is no setting: did you mean `stream.client`?
    "#);
        assert_eq!(resolved["stream.client.security.protocol"].value, "SSL");
    }

    #[test]
    fn a_bad_value_of_a_flag_or_variable_is_told_under_its_name() {
        let dir = project("name: a\n", "");
        let flags = pairs(&[("landing.max_wait", "soon")]);
        let error = load_with(dir.path(), "dev", &flags, &pairs(&[("WEIR__LAKE__MEMORY", "much")])).expect_err("wrong");
        let text = error.to_string();
        assert!(text.contains("--> --set landing.max_wait"), "{text}");
        assert!(text.contains("--> WEIR__LAKE__MEMORY"), "{text}");
    }
}
