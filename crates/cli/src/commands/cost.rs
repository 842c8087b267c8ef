//! `weir plan --cost`

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use weir_operate::cost::{self, Estimate, Given, Prices, Sizes};
use weir_operate::site;
use weir_project::{LakeRoot, Project};

use crate::args::{Format, Global, Load};
use crate::failure::Failure;
use crate::output::{Listing, line, say};

/// How long a lake that may be out of reach is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(global: &Global, project: &Project, load: &Load) -> Result<ExitCode, Failure> {
    let sizes = load.sizes.clone().unwrap_or_else(|| cost::beside(&project.dir, &project.env));
    let sizes = Sizes::open(&sizes).map_err(Failure::of)?;
    let prices = load.prices.as_deref().map_or_else(Prices::shipped, Prices::open).map_err(Failure::of)?;
    // Opening a lake in a folder would make the folder.
    let lake = match &project.lake.root {
        LakeRoot::Folder(folder) if !folder.is_dir() => None,
        _ => match tokio::time::timeout(PATIENCE, site::open_lake(project)).await {
            Ok(Ok(lake)) => Some(lake),
            Ok(Err(error)) => unmeasured(&error.messages().join(": ")),
            Err(_) => unmeasured("it does not answer"),
        },
    };
    let number = |given: Option<u64>| given.map(|number| number as f64);
    let given = Given {
        events_a_day: number(load.events_per_day),
        query_hours: number(load.query_hours),
        months: number(load.months),
    };
    let now = chrono::Utc::now().timestamp_millis();
    let inputs = cost::inputs(project, lake.as_ref(), &sizes, given, now).await?;
    let estimate = cost::of(project, &sizes, &prices, inputs).map_err(Failure::of)?;
    print(global.output, &project.env, &estimate)?;
    Ok(ExitCode::SUCCESS)
}

fn unmeasured<T>(reason: &str) -> Option<T> {
    say(&format!("nothing is measured, for the lake cannot be opened: {reason}"));
    None
}

fn print(format: Format, env: &str, estimate: &Estimate) -> anyhow::Result<()> {
    let mut lines = Listing::new(["service", "what", "quantity", "of", "price", "a month"]).of_data();
    for each in &estimate.lines {
        let cells = [format!("{:.1}", each.quantity), each.per.clone(), each.price.to_string(), cents(each.monthly)];
        lines.row([json!(each.service), json!(each.what)].into_iter().chain(cells.map(Value::from)));
    }
    match format {
        Format::Table => {}
        Format::Csv => return lines.print(format),
        Format::Json => {
            let mut listing = Listing::new(["environment", "estimate"]);
            listing.row([json!(env), json!(estimate)]);
            return listing.print(format);
        }
    }
    let blank = || json!("");
    lines.row([json!("total"), blank(), blank(), json!(estimate.currency), blank(), json!(cents(estimate.total))]);
    line(&lines.table())?;
    line("")?;
    let mut inputs = Listing::new(["from", "figure", "value"]).of_data();
    for input in &estimate.inputs {
        inputs.row([json!(input.from), json!(input.name), json!(format!("{:.2}", input.value))]);
    }
    line(&inputs.table())?;
    line("")?;
    for hint in &estimate.hints {
        line(&format!("- {hint}"))?;
    }
    line(&format!("prices of {} in {}: {}", estimate.as_of, estimate.region, estimate.basis))
}

/// `1234.5` as `1234.50`.
fn cents(amount: f64) -> String {
    format!("{amount:.2}")
}
