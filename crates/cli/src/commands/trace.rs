//! `weir trace`

use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;
use weir_operate::site;
use weir_operate::trace::{Passport, Wanted, text, trace};

use crate::args::{self, Format, Global};
use crate::failure::Failure;
use crate::output::{Listing, line};

pub async fn run(global: &Global, args: args::Trace) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let lake = site::open_lake(&project).await?;
    let wanted = args.surrogate.map_or(Wanted::Key(args.key), Wanted::Surrogate);
    let passport = trace(&project, &lake, &args.table, &wanted, args.facts).await?;
    match global.output {
        Format::Table => line(&text(&passport))?,
        Format::Json => line(&serde_json::to_string_pretty(&[&passport]).context("cannot write JSON")?)?,
        Format::Csv => changes(&passport).print(global.output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The changes alone: what fits into lines of one form.
fn changes(passport: &Passport) -> Listing {
    let mut listing = Listing::new([
        "change",
        "op",
        "order_key",
        "commit_time",
        "state",
        "topic",
        "partition",
        "offset",
        "schema_id",
        "landing_file",
        "landing_row",
        "staging_file",
        "staging_row",
        "result",
    ]);
    for change in &passport.changes {
        let (landing, staging) = (change.landing.as_ref(), change.staging.as_ref());
        listing.row([
            json!(change.number),
            json!(change.op),
            json!(change.order_key),
            json!(change.commit_time),
            json!(change.state),
            json!(change.topic),
            json!(change.partition),
            json!(change.offset),
            json!(change.schema_id),
            json!(landing.map(|spot| &spot.file)),
            json!(landing.map(|spot| spot.row)),
            json!(staging.map(|spot| &spot.file)),
            json!(staging.map(|spot| spot.row)),
            json!(change.effects.join(", ")),
        ]);
    }
    listing
}
