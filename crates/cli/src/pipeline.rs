//! The reference pipeline travels inside the binary, so that the demo needs nothing beside it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use include_dir::{Dir, include_dir};

static PIPELINES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../pipelines");

/// Where [`unpack`] writes the pipeline, below the folder of the embedded parts.
pub const FOLDER: &str = "pipeline";

/// Writes the reference pipeline below `dir` and says where it is.
pub fn unpack(dir: &Path) -> anyhow::Result<PathBuf> {
    let pipeline = PIPELINES.dirs().next().context("the binary holds no pipeline")?;
    let target = dir.join(FOLDER);
    write(pipeline, pipeline.path(), &target)?;
    Ok(target)
}

/// The pipeline's example queries: name and text, in the order of their names.
pub fn queries() -> Vec<(String, String)> {
    let Some(folder) = PIPELINES
        .dirs()
        .next()
        .and_then(|pipeline| pipeline.dirs().find(|dir| dir.path().file_name().is_some_and(|name| name == "queries")))
    else {
        return Vec::new();
    };
    let mut queries: Vec<(String, String)> = folder
        .files()
        .filter_map(|file| {
            let name = file.path().file_stem()?.to_string_lossy().replace('_', " ");
            Some((name, file.contents_utf8()?.to_owned()))
        })
        .collect();
    queries.sort();
    queries
}

fn write(dir: &Dir<'_>, root: &Path, target: &Path) -> anyhow::Result<()> {
    for file in dir.files() {
        let path = target.join(file.path().strip_prefix(root)?);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot write below `{}`", target.display()))?;
        }
        std::fs::write(&path, file.contents()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    dir.dirs().try_for_each(|dir| write(dir, root, target))
}
