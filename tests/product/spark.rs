//! The same model on another engine: Spark computes a dimension from staging and comes to the same rows.

use std::path::Path;
use std::process::Command;

use weir_testkit::harness::{read_json, root, skip};

use crate::place::Place;

/// `tests/readers/spark.py` in the Python that has Spark, or a skip.
fn spark() -> Option<Command> {
    let Some(python) = std::env::var_os("WEIR_SPARK_PYTHON").filter(|path| Path::new(path).exists()) else {
        skip("spark", "WEIR_SPARK_PYTHON names no Python with pyspark (WEIR_REQUIRE=spark ./dev test makes one)");
        return None;
    };
    if !Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success()) {
        skip("spark", "java is not installed: Spark needs 17 or later");
        return None;
    }
    let mut command = Command::new(python);
    command.arg(root().join("tests/readers/spark.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

#[test]
fn spark_computes_the_same_versions_and_surrogate_keys_from_staging() {
    let Some(mut spark) = spark() else { return };
    let place = Place::reference();
    place.run(&["replay", "simulate", "--seed", "9", "--customers", "400", "--products", "40", "--orders", "300"]);
    place.build();
    let seen = read_json({
        spark.arg(place.lake());
        spark
    });
    assert_eq!((&seen["missing"], &seen["strange"]), (&0.into(), &0.into()), "{seen}");
    assert_eq!(seen["spark"], seen["weir"]);
    let count = |name: &str| seen[name].as_u64().unwrap();
    assert!(count("weir") > count("keys") && count("keys") > 100, "versions to compare: {seen}");
}
