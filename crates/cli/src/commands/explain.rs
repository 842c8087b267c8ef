//! `weir explain`

use std::process::ExitCode;

use include_dir::{Dir, include_dir};
use serde_json::json;

use crate::args::{Explain, Global};
use crate::failure::Failure;
use crate::output::{Listing, line};

/// The same pages as in the docs.
static PAGES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../docs/errors");

pub fn run(global: &Global, args: &Explain) -> Result<ExitCode, Failure> {
    match &args.code {
        Some(code) => {
            let code = code.to_uppercase();
            let page = PAGES.get_file(format!("{code}.md")).and_then(|file| file.contents_utf8());
            let page = page
                .ok_or_else(|| Failure::Usage(format!("there is no error code `{code}`; `weir explain` lists them")))?;
            line(page.trim_end())?;
        }
        None => {
            let mut listing = Listing::new(["code", "what"]);
            for (code, title) in titles() {
                listing.row([json!(code), json!(title)]);
            }
            listing.print(global.output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn titles() -> Vec<(String, String)> {
    let title = |file: &include_dir::File<'_>| {
        let heading = file.contents_utf8()?.lines().next()?.strip_prefix("# ")?;
        let (code, title) = heading.split_once(':')?;
        Some((code.trim().to_owned(), title.trim().to_owned()))
    };
    let mut titles: Vec<(String, String)> = PAGES.files().filter_map(title).collect();
    titles.sort();
    titles
}
