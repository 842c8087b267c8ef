//! `weir check`

use std::process::ExitCode;

use serde_json::json;
use weir_operate::{run, site};

use crate::args::{Format, Global};
use crate::failure::Failure;
use crate::output::{Listing, line};

pub async fn run(global: &Global) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let lake = site::open_lake(&project).await?;
    let violations = run::check(&project, &lake).await?;
    let mut listing = Listing::new(["table", "broken", "rows", "keys"]);
    for violation in &violations {
        listing.row([
            json!(violation.table),
            json!(format!("{:?}", violation.broken)),
            json!(violation.count),
            json!(violation.keys.join(", ")),
        ]);
    }
    if global.output != Format::Table || !violations.is_empty() {
        listing.print(global.output)?;
    } else {
        line("every invariant holds")?;
    }
    if violations.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Failure::Said) }
}
