//! `weir reconcile`

use std::process::ExitCode;

use serde_json::json;
use weir_operate::reconcile::{Reconciliation, StreamWitness, reconcile};
use weir_operate::warehouse::Target;

use super::site;
use crate::args::{Format, Global};
use crate::failure::Failure;
use crate::output::{Listing, line};

pub async fn run(global: &Global) -> Result<ExitCode, Failure> {
    let site = site(global).await?;
    let compared = async {
        let target = Target::open(&site)?;
        let witness = StreamWitness { project: &site.project, services: &site.services };
        reconcile(&site, Some(&target), &witness).await
    };
    let compared = compared.await;
    let closed = site.close().await;
    let report = compared?;
    closed?;
    listing(&report).print(global.output)?;
    if global.output == Format::Table {
        line(&verdict(&report))?;
    }
    if report.differences() == 0 { Ok(ExitCode::SUCCESS) } else { Err(Failure::Said) }
}

/// Every zone's line.
pub fn listing(report: &Reconciliation) -> Listing {
    let mut listing = Listing::new(["zone", "table", "expected", "found", "missing", "doubled", "different"]);
    for zone in &report.zones {
        listing.row([
            json!(zone.zone),
            json!(zone.table),
            json!(zone.expected),
            json!(zone.found),
            json!(zone.missing),
            json!(zone.doubled),
            json!(zone.different),
        ]);
    }
    listing
}

/// One sentence, and the accounts that do not balance.
pub fn verdict(report: &Reconciliation) -> String {
    let mut text = String::new();
    for account in report.accounts.iter().filter(|account| account.left != account.right) {
        text.push_str(&format!("{}: {}: {} is not {}\n", account.table, account.equation, account.left, account.right));
    }
    let differences = report.differences();
    let accounts = report.accounts.len();
    text.push_str(&format!("{differences} differences; {accounts} accounts compared"));
    text
}
