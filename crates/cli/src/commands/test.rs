//! `weir test`

use std::process::ExitCode;

use serde_json::{Map, Value, json};
use weir_core::diagnosis::Diagnosed;
use weir_operate::run::{self, Cells, Miss};
use weir_project::UnitTest;

use crate::args::{Format, Global, Part};
use crate::failure::Failure;
use crate::output::{Listing, line, say};

pub async fn run(global: &Global, part: &Part) -> Result<ExitCode, Failure> {
    let project = super::project(global)?;
    let selection = super::selection(&project, part)?;
    let mut listing = Listing::new(["model", "test", "outcome", "place", "differences", "error"]);
    let (mut passed, mut failed) = (0, 0);
    for test in project.tests.iter().filter(|test| selection.has_model(&test.model)) {
        let outcome = run::unit_test(&project, test).await;
        let right = matches!(&outcome, Ok(misses) if misses.is_empty());
        if right {
            passed += 1;
        } else {
            failed += 1;
        }
        if global.output == Format::Table {
            line(&for_people(test, &outcome))?;
        }
        listing.row([
            json!(test.model),
            json!(test.name),
            json!(if right { "passed" } else { "failed" }),
            json!(test.place.to_string()),
            json!(outcome.as_ref().map(|misses| misses.iter().map(miss).collect::<Vec<_>>()).unwrap_or_default()),
            json!(outcome.as_ref().err().map(|error| error.messages().join(": "))),
        ]);
    }
    if global.output != Format::Table {
        listing.print(global.output)?;
    }
    say(&format!("{passed} passed, {failed} failed"));
    if failed == 0 { Ok(ExitCode::SUCCESS) } else { Err(Failure::Said) }
}

/// One line for a test that passed; what is missing (`-`) and what should not be there (`+`) for one that failed.
fn for_people(test: &UnitTest, outcome: &Result<Vec<Miss>, Diagnosed>) -> String {
    let title = format!("{}  {}", test.model, test.name);
    let misses = match outcome {
        Ok(misses) if misses.is_empty() => return format!("ok    {title}"),
        Ok(misses) => misses,
        Err(error) => {
            let code = error.diagnosis.code;
            return format!(
                "FAIL  {title}  ({})\n      error[{code}]: {}",
                test.place,
                error.messages().join("\n        ")
            );
        }
    };
    let mut lines = vec![format!("FAIL  {title}  ({})", test.place)];
    for miss in misses {
        let row = |sign: char, cells: &Cells| {
            let cells: Vec<String> = cells.iter().map(|(column, value)| format!("{column}: {value}")).collect();
            format!("    {sign} {}", cells.join(", "))
        };
        lines.extend(miss.expected.iter().map(|cells| row('-', cells)));
        lines.extend(miss.found.iter().map(|cells| row('+', cells)));
        if !miss.differs.is_empty() {
            lines.push(format!("      differs in {}", miss.differs.join(", ")));
        }
    }
    lines.push("      - expected and not there, + there and not expected".to_owned());
    lines.join("\n")
}

fn miss(miss: &Miss) -> Value {
    let object = |cells: &Option<Cells>| {
        let pairs = cells.iter().flatten().map(|(column, value)| (column.clone(), json!(value)));
        cells.is_some().then(|| Value::Object(pairs.collect::<Map<_, _>>()))
    };
    json!({ "expected": object(&miss.expected), "found": object(&miss.found), "differs": miss.differs })
}
