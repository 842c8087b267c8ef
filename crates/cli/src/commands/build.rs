//! `weir build`

use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use weir_core::diagnosis::Diagnosed;
use weir_operate::Site;
use weir_operate::building::{self, Builder, Built, Wanted};
use weir_operate::status::emf::Emf;
use weir_operate::status::metrics::Job;
use weir_project::{Project, Selection};

use crate::args::{Build, Global, Upto};
use crate::failure::Failure;
use crate::output::{Listing, say};

pub async fn run(global: &Global, args: &Build) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let selection = super::selection(&project, &args.part)?;
    let (emf, began) = (Emf::of(&project, say), Instant::now());
    let built = build(global, project, args.upto, &selection).await;
    if let Some(emf) = emf {
        let load = built.as_ref().ok().and_then(|built| built.load);
        emf.ended(&Job { name: "build", succeeded: built.is_ok(), took: began.elapsed(), load });
    }
    list(built?, &selection).print(global.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn build(global: &Global, project: Project, upto: Upto, selection: &Selection) -> Result<Built, Diagnosed> {
    let site = Site::open(project, &global.dir).await?;
    let wanted = Wanted {
        selection,
        upto: match upto {
            Upto::Staging => building::Upto::Staging,
            Upto::Curated => building::Upto::Curated,
            Upto::Warehouse => building::Upto::Warehouse,
        },
        warehouse: None,
        often: false,
    };
    let built = async { Builder::new(&site).await?.build(wanted).await }.await;
    // The warehouse goes before what it reads from.
    let built = built.map(|built| Built { warehouse: None, ..built });
    let closed = site.close().await;
    let built = built?;
    closed?;
    Ok(built)
}

fn list(built: Built, selection: &Selection) -> Listing {
    let mut listing =
        Listing::new(["zone", "table", "read", "written", "removed", "set aside", "bytes read", "bytes written"]);
    for (table, staged) in built.staged {
        let counts = staged.counts;
        listing.row([
            json!("staging"),
            json!(table),
            json!(counts.read),
            json!(counts.staged + counts.closed),
            json!(counts.repeated),
            json!(counts.quarantined),
            json!(null),
            json!(null),
        ]);
    }
    for table in built.curated.tables {
        if !selection.has_model(&table.table) && table.upserts + table.deletes == 0 {
            continue;
        }
        listing.row([
            json!("curated"),
            json!(table.table),
            json!(table.read),
            json!(table.upserts),
            json!(table.deletes),
            json!(table.keyless),
            json!(table.traffic.bytes_read),
            json!(table.traffic.bytes_written + table.change_set_bytes),
        ]);
    }
    for loaded in built.loaded.builds {
        for (table, set, gone) in loaded.tables {
            let none = || json!(null);
            let counts = [json!(set + gone), json!(set), json!(gone), json!(0), none(), none()];
            listing.row([json!("warehouse"), json!(table)].into_iter().chain(counts));
        }
    }
    for migration in built.loaded.migrations {
        let none = std::iter::repeat_n(json!(null), 6);
        listing.row([json!("migrations"), json!(migration)].into_iter().chain(none));
    }
    if let Some(advanced) = built.refreshed {
        let none = std::iter::repeat_n(json!(null), 5);
        listing.row([json!("mirrors"), json!("(all)"), json!(advanced.records)].into_iter().chain(none));
    }
    listing
}
