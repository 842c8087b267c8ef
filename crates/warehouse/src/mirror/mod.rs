//! The streaming branch: topic -> streaming view -> decoded records -> mirrors `staging.<table>`.
//!
//! Read first: [`script`] (what runs, as Redshift SQL), then [`refresh`] (the double of the view), then
//! [`Mirrors`] (the driver) and [`schedule`].

pub mod decode;
pub mod refresh;
mod script;
pub mod source;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_core::column::Column;
use weir_project::{Project, Table};

pub use script::{EXTERNAL_SCHEMA, create_view, script, setup, tables, view_name, widen};

use crate::connection::Connection;
use crate::error::WarehouseError;
use crate::script::{Placeholders, substitute};
use crate::statement::text::Name;
use refresh::Refreshed;
pub(crate) use script::{columns_of, drop_view, find_view};

/// What a pass over all mirrors did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Advanced {
    /// Records taken into the views.
    pub records: u64,
    /// Steps run.
    pub steps: u64,
    /// Records that the brokers have and did not hand over in time; 0 unless they hang.
    pub left: u64,
}

/// Drives the views and mirrors of a project over one connection.
pub struct Mirrors {
    connection: Box<dyn Connection>,
    tables: Vec<(Table, String)>,
}

impl Mirrors {
    /// Sets up what is not there yet: external schema, function, views, tables.
    pub fn prepare(
        mut connection: Box<dyn Connection>,
        project: &Project,
        values: &Placeholders,
    ) -> Result<Self, WarehouseError> {
        let over = &mut *connection;
        over.run_apart(&substitute(&setup(), values)?)?;
        for table in &project.tables {
            over.run_apart(&tables(table))?;
            let mut is_there = over.scalar(&find_view(table))?.is_some();
            let latest = lacking(over, table, &format!("{}_latest", table.name))?;
            if !latest.is_empty() {
                if is_there {
                    over.run_apart(&drop_view(table))?;
                    is_there = false;
                }
                let mirror = lacking(over, table, table.name.as_str())?;
                over.run_apart(&widen(table, &mirror, &latest))?;
            }
            if !is_there {
                over.run_apart(&create_view(table))?;
            }
        }
        let scripts = project.tables.iter().map(|table| (table.clone(), script(project, table)));
        Ok(Self { tables: scripts.collect(), connection })
    }

    /// Refreshes and applies until the mirrors hold what the topics held when this began; `stop` ends it early,
    /// between two steps.
    pub fn advance(&mut self, stop: &AtomicBool) -> Result<Advanced, WarehouseError> {
        let mut advanced = Advanced::default();
        for at in 0..self.tables.len() {
            loop {
                if stop.load(Ordering::SeqCst) {
                    return Ok(advanced);
                }
                let refreshed = self.step(at)?;
                advanced.records += refreshed.records;
                advanced.steps += 1;
                let idle = refreshed.records + refreshed.skipped == 0;
                if refreshed.left == 0 || idle {
                    advanced.left += refreshed.left;
                    break;
                }
            }
        }
        Ok(advanced)
    }

    #[tracing::instrument(name = "warehouse.mirror", level = "debug", skip_all, fields(stage = "warehouse", table = %self.tables[at].0.name))]
    fn step(&mut self, at: usize) -> Result<Refreshed, WarehouseError> {
        let (table, script) = &self.tables[at];
        let view = Name { schema: Some("staging".into()), name: view_name(table) };
        let refreshed = self.connection.refresh(&view)?;
        self.connection.transaction(script, ("warehouse.mirror_before_commit", "warehouse.mirror_committed"))?;
        Ok(refreshed)
    }
}

/// The contract's columns that a table of the mirror, which was set up for an older contract, does not have.
fn lacking<'t>(over: &mut dyn Connection, table: &'t Table, name: &str) -> Result<Vec<&'t Column>, WarehouseError> {
    let known: Vec<String> = over.rows(&columns_of(name))?.into_iter().flatten().flatten().collect();
    let is_new = |column: &&Column| !known.iter().any(|known| known.eq_ignore_ascii_case(column.name.as_str()));
    Ok(table.columns.iter().filter(is_new).collect())
}

/// Advances the mirrors every `every`, from now on, until `shutdown` is done; a pass that is under way is
/// ended between two steps. A failed pass is logged and tried again at the next turn: it loses nothing.
pub async fn schedule(mirrors: Mirrors, every: Duration, shutdown: impl Future<Output = ()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut mirrors = Some(mirrors);
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = ticks.tick() => {}
        }
        let Some(mut current) = mirrors.take() else { return };
        let flag = stop.clone();
        let mut pass = tokio::task::spawn_blocking(move || {
            let result = current.advance(&flag);
            (current, result)
        });
        let finished = tokio::select! {
            finished = &mut pass => finished,
            () = &mut shutdown => {
                stop.store(true, Ordering::SeqCst);
                let _ = pass.await;
                return;
            }
        };
        match finished {
            Ok((back, result)) => {
                mirrors = Some(back);
                match result {
                    Ok(done) if done.records > 0 => tracing::debug!(records = done.records, "mirrors advanced"),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(error = %error, "mirrors did not advance; tried again at the next turn")
                    }
                }
            }
            Err(error) => {
                tracing::error!(error = %error, "the mirrors' task ended");
                return;
            }
        }
    }
}
