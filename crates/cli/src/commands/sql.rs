//! `weir sql`

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};
use weir_operate::{site, warehouse};
use weir_warehouse::{Kind, Outcome};

use crate::args::{Global, Sql};
use crate::failure::Failure;
use crate::output::{Listing, say};

pub fn run(global: &Global, args: Sql) -> Result<ExitCode, Failure> {
    let text = match args.text {
        Some(text) => text,
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
    };
    let dir = site::make_folder(&global.dir).map_err(Failure::of)?;
    // A kept demo holds its pipeline; elsewhere the project's own settings count.
    let kept = dir.join("pipeline");
    let folder = if kept.is_dir() { kept } else { global.project.clone() };
    let project = weir_project::load(&folder, &global.env, &global.overrides).map_err(Failure::project)?;
    let warehouse = warehouse::open_alone(&project, &dir)?;
    let mut session = warehouse.session().map_err(Failure::of)?;
    for outcome in session.run(&text).map_err(Failure::of)? {
        if outcome.has_rows() {
            listing(&outcome).print(global.output)?;
        } else {
            let rows = outcome.tag.rows.map_or_else(String::new, |rows| format!(" {rows}"));
            say(&format!("{}{rows}", outcome.tag.command));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A result as a listing; numbers stay numbers where JSON can hold them exactly.
pub fn listing(outcome: &Outcome) -> Listing {
    let mut listing = Listing::new(outcome.columns.iter().map(|column| column.name.clone())).of_data();
    for row in outcome.rows() {
        let cells = row.into_iter().zip(&outcome.columns).map(|(cell, column)| match (cell, column.kind) {
            (None, _) => Value::Null,
            (Some(text), Kind::Int2 | Kind::Int4 | Kind::Int8) => {
                text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
            }
            (Some(text), Kind::Bool) => json!(text == "t"),
            (Some(text), _) => json!(text),
        });
        listing.row(cells);
    }
    listing
}
