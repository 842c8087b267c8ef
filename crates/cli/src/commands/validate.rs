//! `weir validate`

use std::process::ExitCode;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::line;

pub fn run(global: &Global) -> Result<ExitCode, Failure> {
    let problems = weir_project::validate(&super::pipeline(global), &global.env);
    if !problems.is_empty() {
        return Err(Failure::Project(problems));
    }
    let project = super::project(global)?;
    let (tables, models) = (project.tables.len(), project.models.len());
    line(&format!("{} ({}): {tables} tables, {models} models, no problems", project.name, project.env))?;
    Ok(ExitCode::SUCCESS)
}
