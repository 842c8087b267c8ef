//! Selections over the reference pipeline.

use std::path::Path;

use weir_project::{Project, Selection, load};

fn project() -> Project {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/retail"), "dev", &[]).expect("right")
}

fn selected(expressions: &[&str]) -> String {
    let project = project();
    let expressions: Vec<String> = expressions.iter().map(|text| (*text).to_owned()).collect();
    let selection = match Selection::new(&project, &expressions) {
        Ok(selection) => selection,
        Err(error) => return error.to_string(),
    };
    let tables =
        project.tables.iter().filter(|table| selection.has_table(&table.name)).map(|table| table.name.to_string());
    let models =
        project.models.iter().filter(|model| selection.has_model(&model.name)).map(|model| model.name.to_string());
    tables.chain(models).collect::<Vec<_>>().join(" ")
}

#[test]
fn operators_follow_the_graph_up_and_down() {
    for (expressions, wanted) in [
        (&["dim_customer"][..], "dim_customer"),
        (&["+dim_customer"], "customer dim_customer"),
        (&["dim_customer+"], "dim_customer fact_orders fact_sales agg_daily_sales view_monthly_sales"),
        (&["+dim_customer+"], "customer dim_customer fact_orders fact_sales agg_daily_sales view_monthly_sales"),
        (&["staging.product+"], "product dim_product fact_sales agg_daily_sales view_monthly_sales"),
        (&["+fact_orders"], "customer order dim_customer fact_orders dim_date"),
        (&["dim_customer dim_product"], "dim_customer dim_product"),
        (&["dim_customer", "product"], "product dim_customer"),
        (&["customer+,product+"], "fact_sales agg_daily_sales view_monthly_sales"),
        (
            &[],
            "customer product order order_item dim_customer dim_product fact_orders fact_sales dim_date agg_daily_sales view_monthly_sales",
        ),
    ] {
        assert_eq!(selected(expressions), wanted, "{expressions:?}");
    }
}

#[test]
fn a_name_that_is_none_and_a_selection_of_nothing_are_refused() {
    insta::assert_snapshot!(selected(&["+dim_custmer", "product,order"]), @r"
    error[W1045]: `dim_custmer` is no table of staging and no model
     --> --select
      = cause: a selection names staging tables and curated models
      = fix: did you mean `dim_customer`?

    1 problem in the project's files
    ");
    insta::assert_snapshot!(selected(&["product,order"]), @r"
    error[W1007]: `--select`: `product,order` selects nothing
     --> --select
      = cause: the value cannot be used
      = fix: write an allowed value

    1 problem in the project's files
    ");
}
