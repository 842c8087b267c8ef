//! One file per command; each calls the rooms and prints what they say.

mod build;
mod catalog;
mod chaos;
mod check;
mod config;
mod cost;
mod demo;
mod dlq;
mod drill;
mod explain;
mod lineage;
mod plan;
mod reconcile;
mod replay;
mod restate;
mod schema;
mod serve;
mod sql;
mod status;
mod stream;
mod table;
mod test;
mod topic;
mod trace;
mod up;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use weir_core::name::TableName;
use weir_operate::Site;
use weir_project::{Project, Selection, Table};

use crate::args::{Cli, Command, Global, Part};
use crate::failure::Failure;

/// Runs the command; the exit code is that of a command that did its work.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let global = cli.global;
    match cli.command {
        Command::Demo(args) => demo::run(&global, args).await,
        Command::Up(args) => up::run(&global, &args).await,
        Command::Validate => validate::run(&global),
        Command::Config(args) => config::run(&global, &args),
        Command::Replay(args) => replay::run(&global, args).await,
        Command::Topic(args) => topic::run(&global, &args).await,
        Command::Dlq(args) => dlq::run(&global, args).await,
        Command::Schema(args) => schema::run(&global, &args).await,
        Command::Stream(args) => stream::run(&global, &args).await,
        Command::Build(args) => build::run(&global, &args).await,
        Command::Serve(args) => serve::run(&global, &args).await,
        Command::Sql(args) => sql::run(&global, args).await,
        Command::Test(args) => test::run(&global, &args).await,
        Command::Plan(args) => plan::run(&global, &args).await,
        Command::Restate(args) => restate::run(&global, &args).await,
        Command::Table(args) => table::run(&global, &args).await,
        Command::Check => check::run(&global).await,
        Command::Chaos(args) => chaos::run(&global, &args).await,
        Command::Reconcile => reconcile::run(&global).await,
        Command::Drill => drill::run(&global).await,
        Command::Status(args) => status::run(&global, &args).await,
        Command::Catalog(args) => catalog::run(&global, &args).await,
        Command::Lineage(args) => lineage::run(&global, &args).await,
        Command::Trace(args) => trace::run(&global, args).await,
        Command::Explain(args) => explain::run(&global, &args),
    }
}

/// The pipeline's folder: the one that is named, else the one that a kept demo holds, else the current one.
fn pipeline(global: &Global) -> PathBuf {
    let kept = global.dir.join(crate::pipeline::FOLDER);
    match &global.project {
        Some(named) => named.clone(),
        None if kept.join("weir.yaml").is_file() => kept,
        None => PathBuf::from("."),
    }
}

/// The project, read strictly, with its lake where the folder of the embedded parts has it.
fn project(global: &Global) -> Result<Project, Failure> {
    let read = weir_project::load(&pipeline(global), &global.env, &global.overrides).map_err(Failure::project)?;
    Ok(weir_operate::site::in_folder(read, &global.dir))
}

/// The table of this name.
fn known(project: &Project, name: &TableName) -> Result<Table, Failure> {
    let unknown = || {
        let known: Vec<&str> = project.tables.iter().map(|table| table.name.as_str()).collect();
        Failure::Usage(format!("`{name}` is no table of the pipeline; there are {}", known.join(", ")))
    };
    project.table(name).cloned().ok_or_else(unknown)
}

/// A time in microseconds since 1970, as shown.
fn time(micros: i64) -> Value {
    json!(weir_operate::run::time_text(micros))
}

/// The tables and models that the command line selects; all when it says nothing.
fn selection(project: &Project, part: &Part) -> Result<Selection, Failure> {
    Selection::new(project, &part.select).map_err(Failure::project)
}

/// Says something below a table; data in another form stands alone.
fn say_if_table(global: &Global, text: &str) {
    if global.output == crate::args::Format::Table {
        crate::output::say(text);
    }
}

/// The project at work in the folder of the embedded parts.
async fn site(global: &Global) -> Result<Site, Failure> {
    Ok(Site::open(project(global)?, &global.dir).await?)
}

/// Cancelled by Ctrl-C or by the signal that asks a service to end.
fn until_asked_to_stop() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        let terminated = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut signal) => {
                    signal.recv().await;
                }
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
        cancelled.cancel();
    });
    stop
}
