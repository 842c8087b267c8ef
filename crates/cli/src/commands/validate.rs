//! `weir validate`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use weir_core::diagnosis::Diagnose;
use weir_project::{ModelKind, Place, Problem, Project};
use weir_warehouse::lint::lint;
use weir_warehouse::load::migrations;
use weir_warehouse::{Placeholders, WarehouseError, load, mirror};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::line;

/// Folders of the pipeline with SQL for the warehouse.
const FOLDERS: [&str; 2] = ["queries", "warehouse"];

pub fn run(global: &Global) -> Result<ExitCode, Failure> {
    let folder = super::pipeline(global);
    let problems = weir_project::validate(&folder, &global.env);
    if !problems.is_empty() {
        return Err(Failure::Project(problems.iter().map(Problem::render).collect()));
    }
    let project = super::project(global)?;
    let refused = refused(&folder, &project)?;
    if !refused.is_empty() {
        return Err(Failure::Project(refused));
    }
    let (tables, models) = (project.tables.len(), project.models.len());
    line(&format!("{} ({}): {tables} tables, {models} models, no problems", project.name, project.env))?;
    Ok(ExitCode::SUCCESS)
}

/// What Redshift would refuse of the pipeline's own SQL, and of the tables that are made for it.
fn refused(folder: &Path, project: &Project) -> Result<Vec<String>, Failure> {
    let mut problems = Vec::new();
    for name in FOLDERS {
        for path in sql_files(&folder.join(name)).with_context(|| format!("cannot read the folder `{name}`"))? {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let path = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            problems.extend(judge(&text, |line, column| Place::at(&path, &text, line, column, 1)));
        }
    }
    // Of a kind, not of this environment: no service is asked here.
    let values = Placeholders {
        lake: "s3://lake".to_owned(),
        iam_role: project.warehouse.iam_role.clone(),
        brokers: "broker:9092".to_owned(),
        auth: project.warehouse.auth.as_str().to_owned(),
    };
    for migration in &project.migrations {
        let path = migration.path.display().to_string();
        let place = |line, column| Place::at(&path, &migration.text, line, column, 1);
        // What Redshift refuses is told above at its place, as in every file of `warehouse`.
        match migrations::judged(migration, &values) {
            Ok(_) | Err(WarehouseError::Refused(_)) => {}
            Err(error) => problems.push(place(0, 0).render(&error.diagnosis(), &error.to_string(), None)),
        }
    }
    for sql in project.models.iter().filter(|model| matches!(model.kind, ModelKind::View { .. })).flat_map(|m| &m.sql) {
        let path = sql.path.display().to_string();
        problems.extend(judge(&sql.text, |line, column| Place::at(&path, &sql.text, line, column, 1)));
    }
    for table in &project.tables {
        let contract = || Place::whole(format!("contracts/{}.yaml", table.name));
        problems.extend(judge(&mirror::tables(table), |_, _| contract()));
    }
    problems.extend(judge(&load::ddl::star(project), |_, _| Place::whole("models/curated")));
    Ok(problems)
}

fn judge(text: &str, place: impl Fn(usize, usize) -> Place) -> Vec<String> {
    let number = |n: u64| usize::try_from(n).unwrap_or_default();
    let render = |place: Place, error: WarehouseError| place.render(&error.diagnosis(), &error.to_string(), None);
    match lint(text) {
        Ok(found) => {
            let at = found.into_iter().map(|found| (place(number(found.line), number(found.column)), found));
            at.map(|(place, found)| render(place, WarehouseError::Refused(found))).collect()
        }
        Err(error) => vec![render(place(0, 0), error)],
    }
}

/// The files of a folder and of those below it, by name; none where it does not exist.
fn sql_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sql_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
