//! `weir plan`; with `--cost`, see [`super::cost`].

use std::process::ExitCode;

use serde_json::json;
use weir_operate::plan::{self, Builds, Reason};
use weir_operate::{run, site, warehouse};

use crate::args::{Global, Plan};
use crate::failure::Failure;
use crate::output::{Listing, thousands};

pub async fn run(global: &Global, args: &Plan) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    if args.cost {
        return super::cost::run(global, &project, &args.load).await;
    }
    let selection = super::selection(&project, &args.part)?;
    let lake = site::open_lake(&project).await?;
    let found = plan::plan(&project, &lake, &selection).await?;
    let mut listing = Listing::new(["zone", "table", "build", "new rows", "stored rows", "buckets", "why"]);
    for table in found.staging {
        let waits = format!("{} new in landing, in {}", rows(table.rows), counted(table.commits, "commit"));
        let (build, why) = match (table.rows, table.selected) {
            (0, true) => ("no", String::new()),
            (0, false) => ("no", "not selected".to_owned()),
            (_, true) => ("yes", waits),
            (_, false) => ("no", format!("not selected; {waits}")),
        };
        let read = if table.selected { table.rows } else { 0 };
        listing.row([json!("staging"), json!(table.table), json!(build), json!(read), json!(0), json!(""), json!(why)]);
    }
    for table in found.curated {
        let build = match table.builds {
            Builds::Yes => "yes",
            Builds::Perhaps => "perhaps",
            Builds::No => "no",
        };
        let why: Vec<String> = table.reasons.iter().map(reason).collect();
        let buckets = match table.of_buckets {
            0 => String::new(),
            all => format!("{}/{all}", table.buckets),
        };
        listing.row([
            json!("curated"),
            json!(table.table),
            json!(build),
            json!(table.new_rows),
            json!(table.stored_rows),
            json!(buckets),
            json!(why.join("; ")),
        ]);
    }
    let dir = global.dir.clone();
    let pending = run::blocking(move || warehouse::pending_migrations(&project, &dir)).await?;
    for migration in pending {
        let why = json!("not applied yet");
        listing.row([json!("migrations"), json!(migration), json!("yes"), json!(0), json!(0), json!(""), why]);
    }
    listing.print(global.output)?;
    Ok(ExitCode::SUCCESS)
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::NeverBuilt => "never built".to_owned(),
        Reason::DefinitionChanged => "its definition has changed: the build refuses it (W6004)".to_owned(),
        Reason::ColumnsChanged { columns } => {
            format!(
                "its columns have changed ({columns}): the build refuses it (W6401), `weir restate` shows what would change"
            )
        }
        Reason::NewRows { table, rows: new, commits } => {
            format!("{} new in staging.{table}, in {}", rows(*new), counted(*commits, "commit"))
        }
        Reason::Landed { table, rows: landed } => format!("{} of {table} are staged first", rows(*landed)),
        Reason::Unfinished { rows: left } => format!("{} left by a build that was stopped", rows(*left)),
        Reason::Moved { dimension, keys } => format!("{} of {dimension} moved", counted(*keys, "key")),
        Reason::Follows { model } => format!("follows {model}"),
        Reason::NotSelected => "not selected".to_owned(),
    }
}

fn rows(count: u64) -> String {
    counted(count, "row")
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(count), if count == 1 { "" } else { "s" })
}
