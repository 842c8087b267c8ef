//! What models promise through the commands: unit tests, parts of a build, its plan.

use serde_json::Value;

use crate::path::reconciled;
use crate::place::{Place, text};

#[test]
fn the_shipped_models_pass_their_unit_tests() {
    for pipeline in ["pipelines/retail", "tests/fixtures/pipelines/library"] {
        let place = Place::with(pipeline);
        let rows = place.rows(&["test"]);
        assert!(!rows.is_empty(), "{pipeline} has no tests");
        for row in &rows {
            assert_eq!((&row["outcome"], &row["error"]), (&Value::from("passed"), &Value::Null), "{row}");
        }
        assert!(place.lake_files().is_empty(), "a unit test wrote into the lake");
    }
}

#[test]
fn a_unit_test_that_fails_shows_what_is_missing_and_what_is_there() {
    let place = Place::reference();
    let file = "models/curated/dim_customer.yaml";
    place.edit(file, |text| {
        text.replace("segment: gold, effective_to: 2024-03-01T08:00:00Z", "segment: gold, effective_to: 2024-03-02")
    });
    let failed = place.weir(&["test", "--select", "dim_customer"]).run().expect_code(1);
    let shown: Vec<&str> = failed.stdout.lines().filter(|line| !line.starts_with("ok ")).collect();
    let title = "a deleted customer keeps its history and has no current version";
    let wanted = [
        &format!("FAIL  dim_customer  {title}  (models/curated/dim_customer.yaml:33:11)"),
        "    - customer_id: 1, segment: gold, effective_to: 2024-03-02T00:00:00Z, is_current: false",
        "    + customer_id: 1, segment: gold, effective_to: 2024-03-01T08:00:00Z, is_current: false",
        "      differs in effective_to",
        "      - expected and not there, + there and not expected",
    ];
    assert_eq!(shown, wanted);
    assert!(failed.stderr.contains("2 passed, 1 failed"), "{}", failed.stderr);

    place.edit(file, |text| text.replace("segment: bronze, effective_to", "segmnt: bronze, effective_to"));
    let refused = place.weir(&["test"]).run().expect_code(78).stderr;
    assert!(
        refused.contains("models/curated/dim_customer.yaml:40:34") && refused.contains("did you mean `segment`?"),
        "{refused}"
    );
}

fn plan(place: &Place, select: &[&str]) -> Vec<(String, String)> {
    let rows = place.rows(&[&["plan"], select].concat());
    rows.iter().map(|row| (format!("{}.{}", text(&row["zone"]), text(&row["table"])), text(&row["build"]))).collect()
}

fn built(place: &Place, select: &[&str]) -> Vec<String> {
    plan(place, select).into_iter().filter(|(_, build)| build == "yes").map(|(table, _)| table).collect()
}

#[test]
fn a_build_of_a_part_leaves_no_key_that_leads_nowhere_and_the_rest_is_built_later() {
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "11", "--customers", "60", "--products", "40", "--orders", "200"]);
    place.run(&["stream", "--once"]);
    assert_eq!(built(&place, &["--select", "staging.product"]).first().map(String::as_str), Some("staging.product"));

    // Lines alone: every customer and product is an inferred member, and dim_date has its years.
    place.run(&["build", "--select", "order_item+"]);
    place.run(&["check"]);
    let count = |what: &str| place.value(&format!("select count(*) from analytics.{what}"));
    assert_ne!(count("fact_sales"), "0");
    assert_eq!(
        (count("fact_orders"), count("dim_customer where customer_id is not null and not is_inferred")),
        ("0".into(), "0".into())
    );
    let lost = "fact_sales f left join analytics.dim_customer c on c.customer_key = f.customer_key \
                left join analytics.dim_date d on d.date_key = f.order_date_key where c.customer_key is null or d.date_key is null";
    assert_eq!(count(lost), "0");

    // Then the customers alone: the lines are not selected and are pointed to their versions.
    let wanted = built(&place, &["--select", "+dim_customer"]);
    assert_eq!(wanted, ["staging.customer", "curated.dim_customer"]);
    let before = place.lake_files().len();
    let perhaps = plan(&place, &["--select", "+dim_customer"]);
    assert!(perhaps.contains(&("curated.fact_sales".into(), "perhaps".into())), "{perhaps:?}");
    assert_eq!(place.lake_files().len(), before, "a plan wrote files");
    place.run(&["build", "--select", "+dim_customer"]);
    place.run(&["check"]);
    assert_eq!(count(lost), "0");
    assert_ne!(count("dim_customer where customer_id is not null and not is_inferred"), "0");

    place.run(&["build"]);
    place.run(&["check"]);
    reconciled(&place);
    assert_eq!(built(&place, &[]), Vec::<String>::new(), "nothing is left to do");

    let refused = place.weir(&["build", "--select", "dim_custmer"]).run().expect_code(78).stderr;
    assert!(refused.contains("W1045") && refused.contains("did you mean `dim_customer`?"), "{refused}");
}
