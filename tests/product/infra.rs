//! The infrastructure: what `infra/check` says of it, that it agrees with the pipeline, and that planted faults are found.
//!
//! No account is asked. Terraform and its AWS provider are real parts: without them the tests say that they skip.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use regex::Regex;
use weir_testkit::harness::{Weir, compare_file, root, skip};

use crate::place::copy;

/// `infra/check` says so when Terraform's provider cannot be fetched.
const NO_PROVIDER: i32 = 75;

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs steps of the check in a copy of the repository's part, or skips where a part is missing.
fn check(repository: &Path, steps: &[&str]) -> Option<Output> {
    let output = Command::new(repository.join("infra/check")).args(steps).output().unwrap();
    if output.status.code() == Some(NO_PROVIDER) {
        skip("terraform", "Terraform cannot fetch its AWS provider (TF_CLI_CONFIG_FILE may name a mirror)");
        return None;
    }
    Some(output)
}

fn terraform() -> bool {
    if !installed("terraform") {
        skip("terraform", "terraform is not installed");
        return false;
    }
    true
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[test]
fn the_infrastructure_passes_its_check() {
    if !terraform() {
        return;
    }
    let Some(output) = check(&root(), &[]) else { return };
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn layout_and_policy_hold_without_terraform() {
    if !installed("python3") {
        skip("python", "python3 is not installed");
        return;
    }
    let output = check(&root(), &["layout", "policy-test"]).unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_infrastructure_takes_its_names_from_the_pipeline() {
    for env in ["dev", "qa", "prod"] {
        let pipeline = root().join("pipelines/retail");
        let call = Weir::new(["-p", pipeline.to_str().unwrap(), "--env", env, "config", "tfvars"]);
        let wanted = call.run().expect_code(0).stdout;
        compare_file(&format!("infra/environments/{env}/pipeline.auto.tfvars.json"), &wanted);
    }
}

#[test]
fn the_function_has_the_name_that_the_warehouse_calls() {
    let sql = std::fs::read_to_string(root().join("crates/warehouse/src/mirror/script.rs")).unwrap();
    let called = Regex::new("LAMBDA '([^']+)'").unwrap().captures(&sql).unwrap()[1].to_owned();
    let default = Regex::new(r#"variable "function_name" \{[^}]*default\s*=\s*"([^"]+)""#).unwrap();
    for module in ["udf", "platform"] {
        let variables = std::fs::read_to_string(root().join(format!("infra/modules/{module}/variables.tf"))).unwrap();
        assert_eq!(default.captures(&variables).unwrap()[1], *called, "module {module}");
    }
}

/// A fault, where it is planted, and what must be said of it.
struct Fault {
    what: &'static str,
    file: &'static str,
    find: &'static str,
    put: &'static str,
    named: &'static str,
}

/// Faults that `terraform validate` finds.
const INVALID: &[Fault] = &[
    Fault {
        what: "a typo in an argument",
        file: "infra/modules/msk/main.tf",
        find: "number_of_broker_nodes =",
        put: "number_of_brokers_nodes =",
        named: r#"An argument named "number_of_brokers_nodes" is not expected here"#,
    },
    Fault {
        what: "a missing argument",
        file: "infra/modules/key/main.tf",
        find: "  target_key_id = aws_kms_key.this.key_id\n",
        put: "",
        named: r#"The argument "target_key_id" is required"#,
    },
    Fault {
        what: "a wrong reference",
        file: "infra/modules/lake/main.tf",
        find: "bucket = aws_s3_bucket.lake.bucket\n\n  versioning_configuration",
        put: "bucket = aws_s3_bucket.lake.bucket_name\n\n  versioning_configuration",
        named: r#"This object has no argument, nested block, or exported attribute named "bucket_name""#,
    },
];

/// Faults that the policy finds in a plan.
const FORBIDDEN: &[Fault] = &[
    Fault {
        what: "a role that may do everything",
        file: "infra/modules/access/main.tf",
        find: r#"Action = ["ecr:GetAuthorizationToken"]"#,
        put: r#"Action = ["*"]"#,
        named: r#"module.access.aws_iam_role_policy.job["execution"]: wildcard: action `*`"#,
    },
    Fault {
        what: "a public bucket",
        file: "infra/modules/lake/main.tf",
        find: "restrict_public_buckets = true",
        put: "restrict_public_buckets = false",
        named: "module.lake.aws_s3_bucket.lake: public: bucket without a complete public access block",
    },
    Fault {
        what: "topics that are not encrypted",
        file: "infra/modules/msk/main.tf",
        find: "    encryption_at_rest_kms_key_arn = var.kms_key_arn\n",
        put: "",
        named: "module.msk.aws_msk_cluster.this[0]: encryption: `encryption_info.encryption_at_rest_kms_key_arn` names no key",
    },
    Fault {
        what: "an open plain-text port",
        file: "infra/modules/network/main.tf",
        find: r#"from = "workers", to = "msk", port = 9098"#,
        put: r#"from = "workers", to = "msk", port = 9092"#,
        named: "plain-text: opens port 9092 (Kafka without TLS)",
    },
    Fault {
        what: "a missing tag",
        file: "infra/modules/lake/main.tf",
        find: "  force_destroy = var.force_destroy\n  tags          = var.context.tags\n",
        put: "  force_destroy = var.force_destroy\n",
        named: "module.lake.aws_s3_bucket.lake: tags: without environment, owner, project",
    },
    Fault {
        what: "a rule that expires current objects of landing",
        file: "infra/modules/lake/main.tf",
        find: "  rule {\n    id     = \"leftovers\"",
        put: "  rule {\n    id     = \"landing-90\"\n    status = \"Enabled\"\n\n    filter {\n      prefix = \"landing/\"\n    }\n\n    \
              expiration {\n      days = 90\n    }\n  }\n\n  rule {\n    id     = \"leftovers\"",
        named: "lifecycle: rule `landing-90` expires current objects below `landing/`",
    },
];

const UNPINNED: &[Fault] = &[Fault {
    what: "a provider that is not pinned",
    file: "infra/modules/lake/versions.tf",
    find: "~> 6.25",
    put: ">= 6.25",
    named: "modules/lake/versions.tf: pin: the provider is not pinned",
}];

const CUT_OFF: &[Fault] = &[Fault {
    what: "a subnet without endpoint",
    file: "infra/modules/network/main.tf",
    find: "  subnet_ids          = local.private_ids\n",
    put: "  subnet_ids          = slice(local.private_ids, 0, 2)\n",
    named: "A private subnet has no way to an interface endpoint.",
}];

const WORKFLOW: &[Fault] = &[Fault {
    what: "a key that no matrix has",
    file: ".github/workflows/ci.yml",
    find: "${{ matrix.runner }}",
    put: "${{ matrix.machine }}",
    named: r#"property "machine" is not defined in object type {runner: string}"#,
}];

/// Plants faults of one step together in a copy, runs that step, and wants each named.
fn are_found(faults: &[Fault], step: &str) {
    let folder = tempfile::tempdir().unwrap();
    for part in ["infra", ".github"] {
        copy(&root().join(part), &folder.path().join(part));
    }
    for fault in faults {
        let path = folder.path().join(fault.file);
        let text = std::fs::read_to_string(&path).unwrap();
        let planted = text.replacen(fault.find, fault.put, 1);
        assert_ne!(text, planted, "{}: nothing to plant it in", fault.what);
        std::fs::write(path, planted).unwrap();
    }
    let Some(output) = check(folder.path(), &[step]) else { return };
    let said = said(&output);
    assert!(!output.status.success(), "`{step}` passes with planted faults\n{said}");
    // Terraform wraps lines and draws bars at their beginning.
    let flat: Vec<&str> = said.split_whitespace().filter(|word| *word != "│").collect();
    let flat = flat.join(" ");
    let missed: Vec<&str> = faults.iter().filter(|fault| !flat.contains(fault.named)).map(|fault| fault.what).collect();
    assert!(missed.is_empty(), "`{step}` does not name {missed:?}\n{said}");
}

#[test]
fn planted_faults_of_the_configuration_are_found() {
    if terraform() {
        are_found(INVALID, "validate:qa");
    }
}

#[test]
fn planted_faults_of_the_plan_are_found() {
    if terraform() {
        are_found(FORBIDDEN, "plan:qa");
    }
}

#[test]
fn a_planted_subnet_without_endpoint_is_found() {
    if terraform() {
        are_found(CUT_OFF, "test:network");
    }
}

#[test]
fn a_planted_provider_without_pin_is_found() {
    are_found(UNPINNED, "layout");
}

#[test]
fn a_planted_key_that_no_matrix_has_is_found() {
    if !installed("actionlint") {
        skip("actionlint", "actionlint is not installed");
        return;
    }
    are_found(WORKFLOW, "workflows");
}
