//! The binary `weir`: arguments, output, progress, exit codes. The work is done by the other crates.

mod args;
mod commands;
mod failure;
mod help;
mod output;
mod pipeline;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::Cli;
use crate::failure::Failure;

fn main() -> ExitCode {
    few_heaps();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    listen(cli.global.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(commands::run(cli));
            // A blocking client that still waits for an answer must not hold the exit back.
            runtime.shutdown_timeout(std::time::Duration::from_secs(2));
            result
        }
        Err(error) => Err(Failure::from(anyhow::Error::from(error).context("cannot start the runtime"))),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// The C library gives threads heaps of their own, up to eight for each core, and each stays as large as it ever was: a
/// build of wide rows then takes several times the memory that it uses. Rows come in few large pieces, so two heaps
/// are as quick. `MALLOC_ARENA_MAX` in the environment goes before.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library's own setting has no other door")]
fn few_heaps() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        // SAFETY: takes two numbers, keeps no pointer, and no other thread runs yet. What it cannot do it leaves.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn few_heaps() {}

/// clap's own words; its exit code for a wrong command line is 2, ours is that of sysexits.h.
fn usage(error: &clap::Error) -> ExitCode {
    // Printing fails only where nobody can read it.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS }
}

fn listen(verbose: u8) {
    let level = match verbose {
        // The Kafka client tells the same as our own errors, less well, and shouts while a broker goes down.
        // The Delta library calls it an error when another writer was quicker; ours goes on behind that one.
        0 => {
            "error,weir_landing=warn,weir_operate=warn,weir_staging=warn,deltalake_core::kernel::transaction=off,librdkafka=off,rdkafka=off"
        }
        1 => {
            "info,deltalake_core::kernel::transaction=off,datafusion=warn,deltalake=warn,delta_kernel=warn,buoyant_kernel=warn"
        }
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
