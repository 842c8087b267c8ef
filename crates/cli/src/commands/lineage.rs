//! `weir lineage`

use std::process::ExitCode;

use serde_json::json;
use weir_operate::lineage::{Direction, Lineage};

use crate::args::{self, Format, Global};
use crate::failure::Failure;
use crate::output::{Listing, line};

pub async fn run(global: &Global, args: &args::Lineage) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let direction = if args.downstream { Direction::Downstream } else { Direction::Upstream };
    let lineage = Lineage::of(&project).await?;
    let fields = lineage.fields(&args.table, direction).map_err(Failure::of)?;
    if global.output == Format::Table {
        line(&lineage.tree(&fields, direction))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut listing = Listing::new([
        "input_namespace",
        "input_name",
        "input_field",
        "output_namespace",
        "output_name",
        "output_field",
        "type",
        "subtype",
        "description",
    ]);
    for edge in lineage.reached(&fields, direction) {
        let (from, to) = (lineage.dataset(&edge.from), lineage.dataset(&edge.to));
        listing.row([
            json!(from.0),
            json!(from.1),
            json!(edge.from.column),
            json!(to.0),
            json!(to.1),
            json!(edge.to.column),
            json!(edge.how.kind()),
            json!(edge.how.subtype()),
            json!(edge.text),
        ]);
    }
    listing.print(global.output)?;
    Ok(ExitCode::SUCCESS)
}
