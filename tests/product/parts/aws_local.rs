//! The environment `aws-local`: what the pipeline stands on in AWS, as far as it runs on one machine, and all of it together.
//!
//! Apache Kafka with SASL, a registry, the lake, Glue's catalog and Secrets Manager on doubles of AWS. The warehouse is Redshift's
//! double, first in the process, then behind a double of the Data API.

use std::time::Duration;

use serde_json::{Value, json};
use weir_testkit::harness::{S3Server, read_json, reader, s3, vault};

use super::{client, parts};
use crate::path::reconciled;
use crate::place::{CREDENTIALS, Place, text};
use crate::redshift::Elsewhere;
use crate::redshift::data_api::DataApi;
use crate::s3::{self as bucket, lake, simulate};

/// The settings of the environment.
fn environment(at: &Value, server: &S3Server) -> Value {
    let kafka = &at["kafka"];
    json!({
        "stream": {
            "brokers": kafka["sasl"],
            "registry": at["registry"],
            "partitions": 2,
            "client": client(kafka, "sasl", "${aws-sm:shop/registry}"),
        },
        "lake": lake(server),
        "catalog": {"target": "glue", "endpoint": server.endpoint},
        "warehouse": {"target": "embedded"},
        // Nothing has been copied there yet.
        "recovery": {"rto": "1h", "rpo": "1h", "replica": format!("s3://{}/copy", server.bucket)},
    })
}

fn aws_local(at: &Value, server: &S3Server, secrets: &str) -> Place {
    let mut place = Place::reference().with_aws();
    place.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets);
    place.set("AWS_REGION", "us-east-1");
    let file = place.pipeline().join("environments/aws-local.yaml");
    // JSON is YAML.
    std::fs::write(file, environment(at, server).to_string()).unwrap();
    // The brokers are shared with other tests.
    place.edit("sources/retail.yaml", |source| source.replace("topic: retail.", "topic: aws-local."));
    place.set("WEIR_ENV", "aws-local");
    place
}

/// Rows of each query on the tables that Glue names.
fn athena(server: &S3Server, queries: &[&str]) -> Vec<Vec<String>> {
    let mut call = reader("athena.py").expect("the server's Python has the readers");
    call.arg("retail_aws_local_").args(queries).envs(CREDENTIALS);
    call.env("AWS_ENDPOINT_URL", &server.endpoint).env("AWS_ALLOW_HTTP", "true");
    call.env("AWS_REGION", "us-east-1").env("AWS_DEFAULT_REGION", "us-east-1");
    let line = |row: &Value| row.as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(" ");
    let rows = |answer: &Value| answer.as_array().unwrap().iter().map(line).collect();
    read_json(call).as_array().unwrap().iter().map(rows).collect()
}

#[test]
fn the_whole_path_stands_on_kafka_s3_and_glue_and_an_athena_like_reader_sees_its_rows() {
    let Some(at) = parts("") else { return };
    let Some(server) = s3(0) else { return };
    let password = std::fs::read_to_string(at["kafka"]["password"].as_str().unwrap()).unwrap();
    let Some(secrets) = vault(password.trim_end_matches('\n'), "unused") else { return };
    let place = aws_local(&at, &server, &secrets.endpoint);
    place.run(&["validate"]);
    simulate(&place);

    // A worker and a build that are killed on the way, as tasks are.
    place.killed(&["stream", "--once"], "landing.files_written");
    place.run(&["stream", "--once"]);
    place.killed(&["build"], "curated.published");
    place.run(&["build"]);
    reconciled(&place);
    place.run(&["check"]);
    let differs = place.rows(&["catalog", "diff"]);
    assert!(differs.is_empty(), "{differs:?}");

    let queries = [
        "select order_id, line_number, customer_key, product_key, cast(amount as varchar) from SCHEMA.fact_sales order by 1, 2",
        "select customer_key, customer_id, is_current from SCHEMA.dim_customer order by 1",
        "select product_key, product_id, is_current from SCHEMA.dim_product order by 1",
        "select order_id, status from SCHEMA.fact_orders order by 1",
    ];
    let of = |schema: &str| queries.map(|query| query.replace("SCHEMA", schema));
    let outside = of("retail_aws_local_curated");
    let outside = athena(&server, &outside.each_ref().map(String::as_str));
    for (query, outside) in of("analytics").iter().zip(&outside) {
        assert!(!outside.is_empty(), "{query}");
        assert!(place.lines(query) == *outside, "{query}");
    }
    let zones = [("landing", "\"order\""), ("staging", "\"order\""), ("staging", "customer")];
    let counts = zones.map(|(zone, table)| format!("select count(*) from retail_aws_local_{zone}.{table}"));
    let counted = athena(&server, &counts.each_ref().map(String::as_str));
    let health = place.rows(&["table", "health"]);
    for ((zone, table), counted) in zones.iter().zip(counted) {
        let row = health.iter().find(|row| row["zone"] == *zone && row["table"] == table.trim_matches('"')).unwrap();
        assert_eq!(counted, [text(&row["rows"])], "{zone}.{table}");
    }

    // The worker as a service: it stops when it is told to, with what it read committed.
    let mut worker = place.weir(&["stream"]).start();
    std::thread::sleep(Duration::from_secs(2));
    worker.signal("TERM");
    assert!(worker.wait(Duration::from_secs(30)).success(), "{}", worker.output());
    // A disaster, rehearsed on this very ground.
    let told = place.run(&["drill"]).stdout;
    assert!(told.contains("surrogate keys included; RTO met; RPO met"), "{told}");
    let lacks =
        told.lines().find_map(|line| line.strip_prefix("not in the replica")).expect("the replica is looked at");
    assert_ne!(lacks.split_whitespace().next(), Some("0"), "{told}");

    // The same builds in a Redshift: it reads the change sets from the bucket, and is asked through the Data API.
    let elsewhere = Elsewhere::of(bucket::place(&server));
    let api = DataApi::start(elsewhere.port());
    place.edit("environments/aws-local.yaml", |text| {
        let mut settings: Value = serde_json::from_str(&text).unwrap();
        settings["warehouse"] = json!({
            "target": "redshift", "workgroup": "aws-local", "database": "shop", "region": "eu-central-1",
            "endpoint": api.endpoint, "mirrors": false,
        });
        settings.to_string()
    });
    place.run(&["build"]);
    for (query, outside) in of("analytics").iter().zip(&outside) {
        assert!(place.lines(query) == *outside, "{query}");
    }
    assert!(!api.asked("ExecuteStatement").is_empty());
}
