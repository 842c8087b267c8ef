//! Migrations of the warehouse: once each, in their order, in the build that brings the tables.

use std::fs;

use crate::place::Place;

fn with(place: &Place, name: &str, text: &str) {
    fs::write(place.pipeline().join(format!("warehouse/migrations/{name}.sql")), text).unwrap();
}

fn refused(place: &Place, args: &[&str], code: &str) {
    let told = place.weir(args).run().expect_code(78).stderr;
    assert!(told.contains(code), "{told}");
}

#[test]
fn migrations_are_applied_once_each_and_in_their_order() {
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "11", "--customers", "20", "--products", "12", "--orders", "40"]);
    with(&place, "010_view", "create view public.lake as select '${lake}' as root;");
    place.run(&["validate"]);
    let pending = || -> Vec<String> {
        let lines = place.rows(&["plan"]);
        let found = lines.iter().filter(|line| line["zone"] == "migrations");
        found.map(|line| line["table"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(pending(), ["001_roles", "010_view"]);
    place.build();
    assert_eq!(pending(), Vec::<String>::new());
    assert!(place.value("select root from public.lake").ends_with("/lake"));
    assert_eq!(place.lines("select number, name from staging.migrations order by 1"), ["1 001_roles", "10 010_view"]);
    place.run(&["build"]);

    with(&place, "011_more", "grant select on public.lake to role analyst;");
    assert_eq!(pending(), ["011_more"]);
    place.run(&["build"]);
    let granted = "select identity_name from svv_relation_privileges where relation_name = 'lake'";
    assert_eq!(place.lines(granted), ["analyst"]);
}

#[test]
fn a_migration_that_was_changed_is_gone_or_comes_late_is_refused_before_anything_runs() {
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "11", "--customers", "20", "--products", "12", "--orders", "40"]);
    with(&place, "005_view", "create view public.one as select 1 as one;\n");
    place.build();
    with(&place, "005_view", "create view public.one as select 2 as one;\n");
    refused(&place, &["build"], "W7609");
    // A checkout that writes other line ends changes nothing.
    with(&place, "005_view", "create view public.one as select 1 as one;\r\n");
    place.run(&["build"]);
    with(&place, "003_late", "create view public.late as select 1 as one;");
    refused(&place, &["build"], "W7610");
    fs::rename(
        place.pipeline().join("warehouse/migrations/003_late.sql"),
        place.pipeline().join("warehouse/migrations/006_late.sql"),
    )
    .unwrap();
    place.run(&["build"]);
    fs::remove_file(place.pipeline().join("warehouse/migrations/005_view.sql")).unwrap();
    refused(&place, &["build"], "W7610");
}

#[test]
fn a_migration_that_redshift_refuses_or_that_leaves_its_transaction_is_no_valid_project() {
    let place = Place::reference();
    for (text, code) in [
        ("create index i on analytics.fact_sales (quantity);", "W7012"),
        ("create view public.one as select 1 as one; commit;", "W7611"),
        ("truncate staging.load_ledger;", "W7611"),
        ("create view public.one as select '${env:HOME}' as home;", "W7040"),
    ] {
        with(&place, "002_bad", text);
        refused(&place, &["validate"], code);
    }
    with(&place, "002_bad", "create view public.one as select 1 as one");
    place.run(&["validate"]);
    fs::write(place.pipeline().join("warehouse/migrations/two.sql"), "select 1").unwrap();
    refused(&place, &["validate"], "W1007");
}
