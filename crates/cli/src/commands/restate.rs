//! `weir restate`

use std::process::ExitCode;

use serde_json::{Value, json};
use weir_operate::{run, site};

use crate::args::{Format, Global, Restate};
use crate::failure::Failure;
use crate::output::{Listing, line};

pub async fn run(global: &Global, args: &Restate) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let lake = site::open_lake(&project).await?;
    let wanted = weir_operate::run::Restate { models: args.models.clone(), from: args.from };
    let diffs = run::plan_restatement(&project, &lake, &wanted).await?;
    let mut listing =
        Listing::new(["table", "columns", "added", "removed", "changed", "unchanged", "re-pointed", "changed columns"]);
    let mut samples = Listing::new(["table", "row", "key", "column", "before", "after"]).of_data();
    for diff in &diffs {
        let columns: Vec<String> = diff.columns.iter().map(|(name, rows)| format!("{name} {rows}")).collect();
        listing.row([
            json!(diff.table),
            json!(diff.schema.to_string()),
            json!(diff.added),
            json!(diff.removed),
            json!(diff.changed),
            json!(diff.unchanged),
            json!(diff.repointed),
            json!(columns.join(", ")),
        ]);
        for sample in &diff.samples {
            let row =
                |rest: [Value; 3]| [json!(diff.table), json!(sample.change), json!(sample.key)].into_iter().chain(rest);
            if sample.columns.is_empty() {
                samples.row(row([json!(null), json!(null), json!(null)]));
            }
            for (column, before, after) in &sample.columns {
                samples.row(row([json!(column), json!(before), json!(after)]));
            }
        }
    }
    listing.print(global.output)?;
    if global.output == Format::Table && diffs.iter().any(|diff| !diff.samples.is_empty()) {
        line(&format!("\n{}", samples.table()))?;
    }
    if !args.apply {
        super::say_if_table(global, "nothing was changed; `--apply` swaps the tables and publishes them");
        return Ok(ExitCode::SUCCESS);
    }
    let report = run::restate(&project, &lake, &wanted).await?;
    let text = match report.published {
        Some(build) => format!("published as build {build}; `weir build` loads it into the warehouse"),
        None => "no row differs; nothing was published".to_owned(),
    };
    super::say_if_table(global, &text);
    Ok(ExitCode::SUCCESS)
}
