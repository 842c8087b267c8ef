//! Metrics as lines of a log, in CloudWatch's embedded metric format: who reads the log makes metrics of them.

use serde_json::{Map, Value, json};

/// Where CloudWatch keeps them.
pub const NAMESPACE: &str = "Weir";
/// The dimension by which all of them are kept apart: the pipeline and its environment, as `shop-qa`.
pub const ENVIRONMENT: &str = "environment";

/// A metric and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its name, unit included.
    pub name: String,
    /// CloudWatch's word for the unit.
    pub unit: &'static str,
    /// A finite number.
    pub value: f64,
}

impl Point {
    /// A number of things.
    pub fn count(name: impl Into<String>, value: u64) -> Self {
        // Exact up to 2^53.
        Self { name: name.into(), unit: "Count", value: value as f64 }
    }

    /// A length of time.
    pub fn seconds(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), unit: "Seconds", value }
    }
}

/// One line, without its end: metrics that are kept apart by these dimensions. `at` is in milliseconds since 1970 UTC; `beside`
/// are fields that make no metric.
pub fn line(at: i64, dimensions: &[(&str, &str)], points: &[Point], beside: Map<String, Value>) -> String {
    let metrics: Vec<Value> = points.iter().map(|point| json!({ "Name": point.name, "Unit": point.unit })).collect();
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": metrics });
    let mut root = Map::new();
    root.insert("_aws".to_owned(), json!({ "Timestamp": at, "CloudWatchMetrics": [directive] }));
    root.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
    root.extend(points.iter().map(|point| (point.name.clone(), point.value.into())));
    root.extend(beside);
    Value::Object(root).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_each_metric_and_holds_its_value_beside() {
        let points = [Point::count("weir_a", 3), Point::seconds("weir_b_seconds", 0.5)];
        let beside = Map::from_iter([("table".to_owned(), "customer".into())]);
        let line = line(1_700_000_000_000, &[(ENVIRONMENT, "shop-qa"), ("job", "build")], &points, beside);
        let wanted = json!({
            "_aws": {
                "Timestamp": 1_700_000_000_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Weir",
                    "Dimensions": [["environment", "job"]],
                    "Metrics": [
                        { "Name": "weir_a", "Unit": "Count" },
                        { "Name": "weir_b_seconds", "Unit": "Seconds" },
                    ],
                }],
            },
            "environment": "shop-qa",
            "job": "build",
            "weir_a": 3.0,
            "weir_b_seconds": 0.5,
            "table": "customer",
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), wanted);
        assert!(!line.contains('\n'));
    }
}
