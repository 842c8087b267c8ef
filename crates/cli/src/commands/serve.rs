//! `weir serve`

use std::process::ExitCode;

use weir_operate::{site, up, warehouse};

use super::until_asked_to_stop;
use crate::args::{Global, Serve};
use crate::failure::Failure;
use crate::output::say;

pub async fn run(global: &Global, args: &Serve) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let dir = site::make_folder(&global.dir).map_err(Failure::of)?;
    let listener = up::bind(args.port).await.map_err(Failure::of)?;
    let warehouse = warehouse::open_alone(&project, &dir).await?;
    let ready = |port| say(&format!("psql -h 127.0.0.1 -p {port} -U weir weir"));
    up::serve(&dir, warehouse, listener, None, ready, until_asked_to_stop()).await?;
    Ok(ExitCode::SUCCESS)
}
