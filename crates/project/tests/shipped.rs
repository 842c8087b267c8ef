//! The pipelines in the repository, and the schemas in the docs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use weir_core::value::Value;
use weir_project::{
    Endpoint, LakeRoot, ModelKind, RedshiftName, RegistryAt, Rule, Scd, SecretText, Severity, WarehouseTarget, load,
    validate,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn retail() -> PathBuf {
    repository().join("pipelines/retail")
}

#[test]
fn the_reference_pipeline_is_right_in_every_environment() {
    let environments = weir_project::environments(&retail());
    assert_eq!(environments, ["dev", "prod", "qa"]);
    for env in environments {
        let found: Vec<String> = validate(&retail(), &env).iter().map(|problem| problem.render()).collect();
        assert!(found.is_empty(), "{env}:\n{}", found.join("\n"));
    }
}

#[test]
fn the_reference_pipeline_builds_dimensions_before_facts_and_aggregates_last() {
    let project = load(&retail(), "dev", &[]).expect("right");
    let names: Vec<&str> = project.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "dim_customer",
            "dim_product",
            "fact_orders",
            "fact_sales",
            "dim_date",
            "agg_daily_sales",
            "view_monthly_sales"
        ]
    );
    let tables: Vec<&str> = project.tables.iter().map(|table| table.topic.as_str()).collect();
    assert_eq!(tables, ["retail.customer.cdc", "retail.product.cdc", "retail.order.cdc", "retail.order_item.cdc"]);
    let columns = |name: &str| -> String {
        let model = project.models.iter().find(|model| model.name.as_str() == name).expect("a model");
        model.table_columns().iter().map(|c| format!("{} {}", c.name, c.kind)).collect::<Vec<_>>().join(", ")
    };
    insta::assert_snapshot!(columns("dim_product"), @r#"product_key bigint, product_durable_key bigint, product_id nvarchar(20), description nvarchar(200), category nvarchar(40), list_price decimal(12,3), discontinued bit, effective_from datetime2(6), effective_to datetime2(6), is_current bit, is_inferred bit"#);
    insta::assert_snapshot!(columns("fact_orders"), @r#"order_id nvarchar(20), customer_id int, status nvarchar(20), is_cancellation bit, ordered_at datetime2(6), customer_key bigint, order_date_key int, paid_at datetime2(6), shipped_at datetime2(6), delivered_at datetime2(6), cancelled_at datetime2(6), event_time datetime2(6)"#);
}

#[test]
fn only_a_negative_price_keeps_a_line_of_the_real_data_out() {
    let project = load(&retail(), "dev", &[]).expect("right");
    let rules = |table: &str| -> Vec<String> {
        let table = project.tables.iter().find(|t| t.name.as_str() == table).expect("a table");
        let quarantine = table.expectations.iter().filter(|e| e.severity == Severity::Quarantine);
        quarantine.map(|e| format!("{} {:?}", e.column, e.rule)).collect()
    };
    insta::assert_debug_snapshot!(rules("order_item"), @r#"
    [
        "unit_price Range { min: Some(Decimal(0, 3)), max: None }",
        "quantity Range { min: Some(Int(-1000000)), max: Some(Int(1000000)) }",
        "product_id NotNull",
    ]
    "#);
    let kinds: std::collections::BTreeSet<&str> =
        project.tables.iter().flat_map(|table| &table.expectations).map(|e| e.rule.kind()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["not_null", "range", "reference", "regex", "set"]);
}

#[test]
fn the_second_pipeline_has_other_names_keys_and_types() {
    let project = load(&repository().join("tests/fixtures/pipelines/library"), "dev", &[]).expect("right");
    let branch = project.table(&"branch".parse().expect("a name")).expect("a table");
    assert_eq!(branch.key_indexes(), [0, 1]);
    assert_eq!(branch.namespace(), "library.Library.lending.branch");
    assert_eq!(branch.value_subject(), "library.branch.cdc-value");
    assert_eq!(branch.expectations[0].rule, Rule::Range { min: Some(Value::Decimal(0, 4)), max: None });
    let dim = &project.models[0];
    let scd: Vec<Scd> = dim.columns.iter().map(|column| column.scd).collect();
    assert_eq!(scd, [Scd::Key, Scd::Key, Scd::Type1Current, Scd::Type1, Scd::Type2, Scd::Type2]);
    assert!(matches!(&project.models[1].kind, ModelKind::Fact { dimensions, .. } if dimensions[0].on.len() == 2));
}

#[test]
fn production_keeps_its_secrets_as_references() {
    let project = load(&retail(), "prod", &[]).expect("right");
    assert_eq!(project.stream.brokers, Endpoint::External(SecretText::plain("${env:WEIR_BROKERS}")));
    let registry = "https://${aws-sm:retail-prod/registry#username}:${aws-sm:retail-prod/registry#password}@registry.prod.example.com";
    assert_eq!(project.stream.registry, RegistryAt::Confluent(SecretText::plain(registry)));
    assert_eq!(project.stream.iam.as_deref(), Some("eu-central-1"));
    assert_eq!(project.lake.root, LakeRoot::S3("s3://retail-datalake-prod".into()));
}

/// The infrastructure names them so: `<pipeline>-<environment>`, the database as the pipeline.
#[test]
fn the_redshift_of_each_environment_is_the_one_that_the_infrastructure_makes() {
    for env in ["qa", "prod"] {
        let project = load(&retail(), env, &[]).expect("right");
        let WarehouseTarget::Redshift(at) = &project.warehouse.target else { panic!("{env} has another warehouse") };
        let name = format!("{}-{env}", project.name);
        // Serverless in qa, a cluster in prod, as in `infra/environments`.
        let name = if env == "qa" { RedshiftName::Workgroup(name) } else { RedshiftName::Cluster(name) };
        assert_eq!(at.name, name);
        assert_eq!((at.database.as_str(), at.host.as_deref()), (project.name.as_str(), None));
    }
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let folder = repository().join("docs/reference/schema");
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    for (name, text) in weir_project::json_schemas() {
        let path = folder.join(name);
        if bless {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&path, &text).expect("written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{} differs: run this test with WEIR_BLESS=1 and commit it", path.display());
    }
}

#[test]
fn every_error_code_has_a_page() {
    let source = include_str!("../src/error.rs");
    let codes: BTreeMap<&str, ()> =
        source.split('"').filter(|word| word.len() == 5 && word.starts_with("W1")).map(|code| (code, ())).collect();
    assert!(codes.len() > 20, "{codes:?}");
    for code in codes.keys() {
        let page = repository().join(format!("docs/errors/{code}.md"));
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        assert!(text.starts_with(&format!("# {code}: ")), "{} is missing or has another title", page.display());
    }
}
