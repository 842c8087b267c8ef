//! `weir config show`, `weir config tfvars`

use std::process::ExitCode;

use serde_json::{Value, json};
use weir_project::Origin;

use crate::args::{Config, Global};
use crate::failure::Failure;
use crate::output::{Listing, line};

pub fn run(global: &Global, args: &Config) -> Result<ExitCode, Failure> {
    match args {
        Config::Show { resolved, origin } => show(global, *resolved, *origin),
        Config::Tfvars => tfvars(global),
    }
}

fn tfvars(global: &Global) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let text = serde_json::to_string_pretty(&weir_operate::infrastructure::tfvars(&project));
    line(&text.map_err(anyhow::Error::from)?)?;
    Ok(ExitCode::SUCCESS)
}

fn show(global: &Global, resolved: bool, origin: bool) -> Result<ExitCode, Failure> {
    let settings = weir_project::resolved_settings(&super::pipeline(global), &global.env, &global.overrides)
        .map_err(Failure::project)?;
    let mut columns = vec!["setting", "value"];
    if origin {
        columns.push("origin");
    }
    let mut listing = Listing::new(columns);
    for setting in settings {
        if !resolved && setting.origin == Origin::Default {
            continue;
        }
        let mut row: Vec<Value> = vec![json!(setting.path), json!(setting.value)];
        if origin {
            row.push(json!(setting.origin.to_string()));
        }
        listing.row(row);
    }
    listing.print(global.output)?;
    Ok(ExitCode::SUCCESS)
}
