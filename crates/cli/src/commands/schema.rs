//! `weir schema`

use std::process::ExitCode;

use serde_json::json;
use weir_core::diagnosis::Diagnosed;
use weir_operate::schema::{Change, compare, newest};
use weir_operate::{OperateError, site};

use crate::args::{self, Global};
use crate::failure::Failure;
use crate::output::Listing;

pub async fn run(global: &Global, args: &args::Schema) -> Result<ExitCode, Failure> {
    let (wanted, checks) = match args {
        args::Schema::Diff(wanted) => (wanted, false),
        args::Schema::Check(wanted) => (wanted, true),
    };
    let project = super::project(global)?;
    if let Some(table) = &wanted.table {
        super::known(&project, table)?;
    }
    let (found, compared) = match (&wanted.table, &wanted.file) {
        (Some(table), Some(path)) => {
            let read = std::fs::read_to_string(path);
            let text = read.map_err(|source| Failure::of(OperateError::File { path: path.clone(), source }))?;
            let lake = site::open_lake(&project).await?;
            (compare(&project, &lake, &[(table.clone(), text)].into()).await?, 1)
        }
        (table, _) => {
            let site = super::site(global).await?;
            let found = async {
                let writers = newest(&site, table.as_ref()).await?;
                Ok::<_, Diagnosed>((compare(&site.project, &site.lake, &writers).await?, writers.len()))
            };
            let found = found.await;
            site.close().await?;
            found?
        }
    };
    let breaks = found.iter().any(|change| change.breaks);
    list(&found).print(global.output)?;
    let said = match (found.is_empty(), breaks) {
        (true, _) => "no column changes".to_owned(),
        (false, true) => "something breaks".to_owned(),
        (false, false) => "nothing breaks".to_owned(),
    };
    super::say_if_table(global, &format!("{said} ({compared} tables compared)"));
    Ok(if checks && breaks { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn list(changes: &[Change]) -> Listing {
    let mut listing = Listing::new(["table", "column", "change", "was", "becomes", "breaks", "effect", "reaches"]);
    for change in changes {
        listing.row([
            json!(change.table),
            json!(change.column),
            json!(change.kind.as_str()),
            json!(change.was),
            json!(change.becomes),
            json!(change.breaks),
            json!(change.effect),
            json!(change.reaches.join(", ")),
        ]);
    }
    listing
}
