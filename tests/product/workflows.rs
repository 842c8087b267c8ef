//! The workflows: pinned actions, shell that parses, and each block that needs no cloud run as it stands.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;
use weir_testkit::harness::root;

/// `workflow: step` -> why it is not run here. All others must be run by a test below.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ci: install psql", "changes the machine"),
    ("ci: everything that the README's test command checks", "it is what runs this test"),
    ("ci: install the linters", "changes the machine"),
    ("ci: check", "tests/product/infra.rs runs it"),
    ("ci: build the book", "installs mdbook"),
    ("release: build", "half an hour of compiling"),
    ("release: build the function", "needs Docker"),
    ("release: bill of materials", "installs cargo-cyclonedx"),
    ("release: draft the release", "needs GitHub"),
    ("release: build and push, with a bill of materials and where it comes from", "needs Docker and an account"),
];

const RUN_HERE: &[&str] = &[
    "deploy: plan",
    "deploy: comment",
    "environment: plan",
    "environment: apply the saved plan",
    "environment: smoke test",
    "environment: how to roll back",
    "release: the tag is the version",
    "release: pack",
    "release: pack the function",
];

fn workflows() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        found.push((name, fs::read_to_string(path).unwrap()));
    }
    found.sort();
    found
}

/// `workflow: step` -> its shell text.
fn blocks() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (workflow, text) in workflows() {
        let mut name = None;
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            let key = line.trim_start().trim_start_matches("- ");
            if line.trim_start().starts_with("- ") {
                name = key.strip_prefix("name: ").map(str::to_owned);
            }
            let Some(text) = key.strip_prefix("run: ") else { continue };
            let text = if text == "|" {
                let mut block = String::new();
                while let Some(line) =
                    lines.next_if(|line| line.trim().is_empty() || line.starts_with(&" ".repeat(indent + 1)))
                {
                    block.push_str(line.get(indent + 2..).unwrap_or_default());
                    block.push('\n');
                }
                block
            } else {
                text.to_owned()
            };
            let name = name.clone().unwrap_or_else(|| panic!("{workflow}: a step with `run` has no name: {text}"));
            assert!(found.insert(format!("{workflow}: {name}"), text).is_none(), "{workflow}: two steps `{name}`");
        }
    }
    found
}

#[test]
fn every_action_is_pinned_by_commit() {
    let pinned = Regex::new(r"^[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d").unwrap();
    let mut findings = Vec::new();
    for (workflow, text) in workflows() {
        for line in text.lines() {
            let key = line.trim_start().trim_start_matches("- ");
            if let Some(action) = key.strip_prefix("uses: ")
                && !action.starts_with("./")
                && !pinned.is_match(action)
            {
                findings.push(format!("{workflow}: {action}"));
            }
        }
    }
    assert!(findings.is_empty(), "not pinned:\n  {}", findings.join("\n  "));
}

#[test]
fn every_block_parses_takes_nothing_but_variables_and_is_run_or_says_where() {
    let mut findings = Vec::new();
    let blocks = blocks();
    for (name, text) in &blocks {
        let parsed = Command::new("bash").args(["-n", "-c", text]).output().unwrap();
        if !parsed.status.success() {
            findings.push(format!("{name}: {}", String::from_utf8_lossy(&parsed.stderr)));
        }
        // What is put into the text of a script can be a script.
        if text.contains("${{") {
            findings.push(format!("{name}: an expression stands in the shell text; hand it over by `env`"));
        }
        if ELSEWHERE.iter().all(|(known, _)| known != name) && !RUN_HERE.contains(&name.as_str()) {
            findings.push(format!("{name}: neither run here nor is it said why not"));
        }
    }
    for name in ELSEWHERE.iter().map(|(name, _)| name).chain(RUN_HERE) {
        if !blocks.contains_key(*name) {
            findings.push(format!("{name} is listed, but no workflow has it"));
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Writes a program of that name that does what `text` says.
fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join("bin").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/usr/bin/env bash\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn command(program: &str, folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
    command.current_dir(folder).env("PATH", path).envs(variables.iter().copied());
    command
}

/// Runs a block as GitHub does: bash that stops at the first error.
fn run(block: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
    let text = &blocks()[block];
    command("bash", folder, variables).args(["-e", "-o", "pipefail", "-c", text]).output().unwrap()
}

#[test]
fn the_comment_shows_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), "gh", "echo \"$@\" >called");
    fs::write(folder.path().join("plan.txt"), "  + bucket\n\nPlan: 1 to add, 0 to change, 0 to destroy.\n").unwrap();
    let output = run("deploy: comment", folder.path(), &[("ENVIRONMENT", "qa"), ("PULL_REQUEST", "7")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let comment = fs::read_to_string(folder.path().join("comment.md")).unwrap();
    assert!(comment.starts_with("### Plan of qa\nPlan: 1 to add, 0 to change, 0 to destroy.\n"), "{comment}");
    assert!(comment.contains("  + bucket\n"), "{comment}");
    let called = fs::read_to_string(folder.path().join("called")).unwrap();
    assert_eq!(called.trim(), "pr comment 7 --body-file comment.md");
}

/// Runs a block in an environment's folder with a Terraform that takes note of its calls and whose plan ends with `code`; what
/// came of it, the calls, and what the block gave to the steps behind it.
fn in_environment(block: &str, code: i32) -> (Output, Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("infra/environments/qa");
    fs::create_dir_all(&here).unwrap();
    let terraform =
        format!("echo \"$*\" >>called; [ \"$1\" != plan ] || exit {code}; [ \"$1\" != show ] || echo shown");
    program(&here, "terraform", &terraform);
    let policy = "open('policed', 'w').write(open('plan.json').read())";
    fs::write(folder.path().join("infra/policy.py"), policy).unwrap();
    program(&folder.path().join("infra"), "../smoke", "echo \"smoke $*\" >>called");
    let (given, summary) = (here.join("given"), here.join("summary"));
    let variables = [
        ("GITHUB_OUTPUT", given.to_str().unwrap()),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ("ENVIRONMENT", "qa"),
        ("QUERY", "select 1"),
    ];
    let output = run(block, &here, &variables);
    let read = |name: &str| fs::read_to_string(here.join(name)).unwrap_or_default();
    let given = format!("{}{}{}", read("given"), read("policed"), read("summary"));
    (output, read("called").lines().map(str::to_owned).collect(), given)
}

#[test]
fn a_plan_is_held_to_the_policy_and_exactly_that_plan_is_applied() {
    let init = "init -input=false -backend-config=backend.hcl";
    let shown = ["show -json plan", "show -no-color plan"];
    let (output, called, given) = in_environment("deploy: plan", 0);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(called, [init, "plan -input=false -lock=false -out=plan", shown[0], shown[1]]);
    assert_eq!(given, "shown\n");

    for (code, changes) in [(0, "no"), (2, "yes")] {
        let (output, called, given) = in_environment("environment: plan", code);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(called[1], "plan -input=false -lock=false -detailed-exitcode -out=plan");
        assert_eq!(given, format!("changes={changes}\nshown\nshown\n"));
    }
    let (output, called, given) = in_environment("environment: plan", 1);
    assert_eq!((output.status.code(), called.len(), given.as_str()), (Some(1), 2, ""));

    let (output, called, _) = in_environment("environment: apply the saved plan", 0);
    assert!(output.status.success());
    assert_eq!(called, [init, "apply -input=false plan"]);
    let (output, called, _) = in_environment("environment: smoke test", 0);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(called, [init, "smoke qa select 1"]);
}

#[test]
fn the_summary_says_how_to_roll_back() {
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("summary");
    let variables =
        [("ENVIRONMENT", "prod"), ("GITHUB_SHA", "abc123"), ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())];
    assert!(run("environment: how to roll back", folder.path(), &variables).status.success());
    assert!(fs::read_to_string(&summary).unwrap().starts_with("To roll prod back, revert abc123 on main;"));
}

#[test]
fn a_tag_that_is_not_the_version_is_refused() {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    assert!(run("release: the tag is the version", &root(), &[("GITHUB_REF_NAME", version)]).status.success());
    let other = run("release: the tag is the version", &root(), &[("GITHUB_REF_NAME", "v99.0.0")]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("the tag is v99.0.0, the version"));
    assert!(!other.status.success());
}

#[test]
fn a_release_packs_the_binary_with_its_checksum() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("target/release")).unwrap();
    for file in ["target/release/weir", "LICENSE", "README.md", "CHANGELOG.md"] {
        fs::write(folder.path().join(file), file).unwrap();
    }
    let output = run("release: pack", folder.path(), &[("NAME", "linux-x64")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = Command::new("tar").args(["-tzf", "out/weir-linux-x64.tar.gz"]).current_dir(folder.path()).output();
    assert!(String::from_utf8(listed.unwrap().stdout).unwrap().contains("weir-linux-x64/weir\n"));
    let sum = fs::read_to_string(folder.path().join("out/weir-linux-x64.tar.gz.sha256")).unwrap();
    assert!(sum.trim_end().ends_with("  weir-linux-x64.tar.gz"), "{sum}");
}

#[test]
fn a_release_packs_the_function_as_a_program_at_the_top_of_a_zip() {
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), "../target/release/bootstrap", "true");
    let output = run("release: pack the function", folder.path(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let look = "import zipfile; [print(one.filename, oct(one.external_attr >> 16)) for one in zipfile.ZipFile('out/weir-udf-linux-arm64.zip').infolist()]";
    let listed = command("python3", folder.path(), &[]).args(["-c", look]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "bootstrap 0o100755\n");
    let sum = fs::read_to_string(folder.path().join("out/weir-udf-linux-arm64.zip.sha256")).unwrap();
    assert!(sum.trim_end().ends_with("  weir-udf-linux-arm64.zip"), "{sum}");
}

/// `infra/smoke` against made-up answers: `aws` is a script that knows them.
fn smoke(build: &str, rows: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let outputs = r#"{"service": {"cluster": "shop-qa", "service": "shop-qa-stream"}, "state_machine_arn": "arn:machine", "warehouse_database": "shop"}"#;
    program(folder.path(), "terraform", &format!("echo '{outputs}'"));
    let answers = format!(
        "case \"$1 $2\" in
    'kafkaconnect list-connectors') echo RUNNING ;;
    'ecs wait') [ \"$5\" = shop-qa ] ;;
    'stepfunctions start-execution') [ \"$4\" = arn:machine ] && echo arn:run ;;
    'stepfunctions describe-execution') echo {build} ;;
    'redshift-data execute-statement') echo id-1 ;;
    'redshift-data describe-statement') echo FINISHED ;;
    'redshift-data get-statement-result') echo {rows} ;;
    *) echo \"unexpected: $*\" >&2; exit 2 ;;
esac"
    );
    program(folder.path(), "aws", &answers);
    let smoke = root().join("infra/smoke");
    let variables = [("SMOKE_WAIT", "0"), ("SMOKE_TRIES", "2")];
    command(smoke.to_str().unwrap(), folder.path(), &variables).args(["qa", "select 1"]).output().unwrap()
}

#[test]
fn the_smoke_test_fails_where_a_build_fails_or_the_warehouse_is_empty() {
    let good = smoke("SUCCEEDED", "41539");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(String::from_utf8_lossy(&good.stdout).ends_with("smoke: the warehouse has 41539 rows\n"));
    for (build, rows, reason) in [
        ("FAILED", "41539", "the build is FAILED"),
        ("RUNNING", "41539", "the build is RUNNING"),
        ("SUCCEEDED", "0", "answers with no rows"),
    ] {
        let bad = smoke(build, rows);
        let said = String::from_utf8_lossy(&bad.stderr).into_owned();
        assert!(!bad.status.success() && said.contains(reason), "{build}, {rows}: {said}");
    }
}
