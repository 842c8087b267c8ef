//! The catalog: what other engines find by name is what the lake has, in Glue (a stand-in for it) and without one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use weir_testkit::harness::{S3Server, read_json, reader, s3};

use crate::place::Place;
use crate::s3::{place, simulate};

/// A place on the server, whose builds register in its Glue.
fn registered(server: &S3Server) -> Place {
    let place = place(server);
    place.edit("environments/dev.yaml", |dev| {
        format!("{dev}\ncatalog:\n  target: glue\n  endpoint: {}\n", server.endpoint)
    });
    place
}

/// What boto3 finds in the catalog, held to what deltalake reads at the tables' places.
fn seen(server: &S3Server) -> Value {
    let mut call = reader("catalog.py").expect("the server's Python has the readers");
    call.args([server.endpoint.as_str(), "retail_dev_"]);
    read_json(call)
}

/// Calls Glue as another program would.
fn other(server: &S3Server, action: &str, arguments: &Value) {
    let mut call = reader("catalog.py").unwrap();
    call.args([server.endpoint.as_str(), "", action, &arguments.to_string()]);
    read_json(call);
}

/// `database.table` of every table in the lake's zones that others read.
fn tables(place: &Place) -> BTreeSet<String> {
    let name = |row: &Value| format!("{}.{}", row["database"].as_str().unwrap(), row["table"].as_str().unwrap());
    place.rows(&["catalog", "ls"]).iter().map(name).collect()
}

#[test]
fn glue_holds_what_deltalake_reads_although_requests_fail_and_follows_a_schema_that_grows() {
    let Some(server) = s3(5) else { return };
    let place = registered(&server);
    simulate(&place);
    place.build();
    let first = seen(&server);
    let names: BTreeSet<String> = first.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, tables(&place));
    for table in ["landing.customer", "staging.order_item", "curated.dim_customer", "deadletter.order_item"] {
        assert!(names.contains(&format!("retail_dev_{}", table)), "{names:?}");
    }
    assert!(first["retail_dev_landing.order"]["partitions"].as_u64().unwrap() > 0);
    assert_eq!(first["retail_dev_curated.dim_customer"]["parameters"]["spark.sql.sources.provider"], "delta");
    let found = place.rows(&["catalog", "diff"]);
    assert!(found.is_empty(), "{found:?}");
    assert!(place.rows(&["catalog", "sync"]).is_empty(), "there is nothing to mend");

    // A build that finds nothing new registers nothing anew.
    place.run(&["build"]);
    assert_eq!(seen(&server), first);

    // A contract with another column: the next build widens the table, and the catalog follows and keeps the old one.
    place.edit("contracts/customer.yaml", |text| {
        text.replace("\n\nexpectations", "\n  - {name: nickname, type: nvarchar(20), nullable: true}\n\nexpectations")
    });
    place.run(&["build", "--upto", "curated"]);
    let wider = seen(&server);
    let of = |seen: &Value| seen["retail_dev_staging.customer"].clone();
    assert!(of(&wider)["columns"].as_array().unwrap().contains(&json!(["nickname", "string"])), "{}", of(&wider));
    assert!(of(&wider)["versions"].as_u64() > of(&first)["versions"].as_u64());
    assert_eq!(of(&wider)["partitions"], of(&first)["partitions"]);
}

#[test]
fn what_others_did_to_the_catalog_is_shown_and_mended_and_their_own_is_left_alone() {
    let Some(server) = s3(0) else { return };
    let mut place = registered(&server);
    simulate(&place);
    place.build();
    let whole = seen(&server);
    other(&server, "delete_table", &json!({"DatabaseName": "retail_dev_curated", "Name": "dim_product"}));
    let rows = place.rows(&["catalog", "ls", "partitions"]);
    let hour = rows.iter().find(|row| row["database"] == "retail_dev_staging" && row["table"] == "order").unwrap();
    let values: Vec<&str> = hour["values"].as_str().unwrap().split('/').collect();
    let of =
        |values: &Value| json!({"DatabaseName": "retail_dev_staging", "TableName": "order", "PartitionValues": values});
    other(&server, "delete_partition", &of(&json!(values)));
    let stray = json!({"Values": ["1999", "1", "1", "0"], "StorageDescriptor": {"Location": "s3://elsewhere/"}});
    let stray = json!({"DatabaseName": "retail_dev_staging", "TableName": "order", "PartitionInput": stray});
    other(&server, "create_partition", &stray);
    let theirs = json!({"Name": "theirs", "Parameters": {}, "StorageDescriptor": {"Location": "s3://theirs/"}});
    let theirs = json!({"DatabaseName": "retail_dev_curated", "TableInput": theirs});
    other(&server, "create_table", &theirs);

    let told = place.weir(&["-o", "json", "catalog", "diff"]).run().expect_code(1).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let what: Vec<(&str, &str)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["table"].as_str().unwrap(), row["what"].as_str().unwrap()))
        .collect();
    let missing = format!("partition {}", values.join("/"));
    assert_eq!(what.len(), 3, "{told}");
    for one in [("dim_product", "table"), ("order", missing.as_str()), ("order", "partition 1999/1/1/0")] {
        assert!(what.contains(&one), "{told}");
    }
    let done = place.rows(&["catalog", "sync"]);
    assert_eq!(done.len(), 2, "{done:?}");
    assert!(place.rows(&["catalog", "diff"]).is_empty());
    let mut mended = seen(&server);
    assert!(mended.as_object_mut().unwrap().remove("retail_dev_curated.theirs").is_some(), "it is left alone");
    for (name, table) in mended.as_object_mut().unwrap() {
        for part in ["columns", "partitions", "parameters"] {
            assert_eq!(table[part], whole[name][part], "{name}");
        }
    }

    // Rows leave landing by a build's upkeep: the catalog knows that version, and keeps the folders until it is mended.
    place.set("WEIR__LANDING__RETENTION", "1s");
    std::thread::sleep(Duration::from_millis(1200));
    place.run(&["build"]);
    let told = place.weir(&["-o", "json", "catalog", "diff"]).run().expect_code(1).stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    let emptied = |row: &Value| row["what"].as_str().unwrap().starts_with("partition ") && row["lake"].is_null();
    assert!(told.as_array().unwrap().iter().all(emptied), "{told}");
    place.run(&["catalog", "sync"]);
    assert!(place.rows(&["catalog", "diff"]).is_empty());
}

#[test]
fn a_build_whose_catalog_is_away_has_built_everything_and_says_what_is_behind() {
    let Some(server) = s3(0) else { return };
    let place = registered(&server);
    simulate(&place);
    place.run(&["stream", "--once"]);
    // Nobody listens on port 9 of this machine.
    let away = ["--set", "catalog.endpoint=http://127.0.0.1:9"];
    let told = place.weir(&[&["build"], &away[..]].concat()).run().expect_code(75).stderr;
    assert!(told.contains("W9501") && told.contains("weir catalog sync"), "{told}");
    assert_ne!(place.value("select count(*) from analytics.fact_sales"), "0");
    assert!(!place.rows(&["catalog", "sync"]).is_empty());
    let names: BTreeSet<String> = seen(&server).as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, tables(&place));
}

#[test]
fn the_embedded_catalog_is_what_deltalake_reads_in_the_folder() {
    let place = Place::reference();
    simulate(&place);
    place.build();
    let columns = place.rows(&["catalog", "ls", "columns"]);
    let listed = place.rows(&["catalog", "ls"]);
    assert!(listed.iter().any(|row| row["database"] == "retail_dev_staging" && row["table"] == "order"));
    for row in &listed {
        let Some(mut call) = reader("delta.py") else { return };
        call.arg(PathBuf::from(row["location"].as_str().unwrap()));
        let outside = read_json(call);
        assert_eq!(row["version"], outside["version"]);
        let own =
            columns.iter().filter(|column| column["database"] == row["database"] && column["table"] == row["table"]);
        let names: Vec<&Value> = own.map(|column| &column["column"]).collect();
        assert_eq!(names, outside["columns"].as_array().unwrap().iter().collect::<Vec<_>>(), "{row}");
    }
    let hours = place.rows(&["catalog", "ls", "partitions"]);
    assert!(hours.iter().all(|row| row["version"].as_i64() >= Some(1)), "{hours:?}");
    let said = place.run(&["catalog", "diff"]);
    assert!(said.stderr.contains("the catalog is embedded"), "{}", said.stderr);
    assert!(place.rows(&["catalog", "sync"]).is_empty());
    let useless = place.weir(&["validate", "--set", "catalog.region=eu-central-1"]).run().expect_code(78).stderr;
    assert!(useless.contains("W1008"), "{useless}");
    let folder = place.weir(&["validate", "--set", "catalog.target=glue"]).run().expect_code(78).stderr;
    assert!(folder.contains("W1007") && folder.contains("s3://"), "{folder}");
}
