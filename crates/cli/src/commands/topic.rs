//! `weir topic ls`

use std::process::ExitCode;

use serde_json::json;
use weir_operate::run;
use weir_stream::Consumer;

use super::site;
use crate::args::{Global, Topic};
use crate::failure::Failure;
use crate::output::Listing;

pub async fn run(global: &Global, args: &Topic) -> Result<ExitCode, Failure> {
    let Topic::Ls = args;
    let site = site(global).await?;
    let (connection, tables) = (site.services.connection.clone(), site.project.tables.clone());
    let listed = run::blocking(move || {
        let known = weir_stream::Admin::new(&connection)?.topics()?;
        let mut listing = Listing::new(["topic", "partition", "first offset", "next offset", "table"]);
        for table in tables {
            if !known.iter().any(|topic| topic.name == table.topic) {
                listing.row([json!(table.topic), json!(null), json!(null), json!(null), json!(table.name)]);
                continue;
            }
            let consumer = Consumer::new(&connection, &table.topic)?;
            for partition in consumer.partitions()? {
                let (low, high) = consumer.watermarks(partition)?;
                listing.row([json!(table.topic), json!(partition), json!(low), json!(high), json!(table.name)]);
            }
        }
        Ok(listing)
    })
    .await;
    site.close().await?;
    listed?.print(global.output)?;
    Ok(ExitCode::SUCCESS)
}
