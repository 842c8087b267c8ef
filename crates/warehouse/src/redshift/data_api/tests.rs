use serde_json::json;

use super::*;

#[test]
fn a_field_is_what_the_wire_would_show() {
    let of = |kind: &str| column(&json!({ "name": "X", "typeName": kind, "precision": 12, "scale": 3 }));
    for (field, kind, text) in [
        (json!({ "isNull": true }), "int4", None),
        (json!({ "booleanValue": false }), "bool", Some("f")),
        (json!({ "longValue": -7 }), "int8", Some("-7")),
        (json!({ "doubleValue": 2.0 }), "float8", Some("2")),
        (json!({ "stringValue": "1.500" }), "numeric", Some("1.500")),
        (json!({ "stringValue": "" }), "varchar", Some("")),
    ] {
        assert_eq!(cell(&field, &of(kind)).as_deref(), text, "{field}");
    }
    assert_eq!(of("numeric"), Column { name: "x".into(), kind: Kind::Numeric { precision: 12, scale: 3 } });
    assert_eq!(column(&json!({ "name": "n", "label": "Total", "typeName": "super" })).name, "total");
}

#[test]
fn of_a_batch_the_statement_that_failed_is_told_with_its_place() {
    let told = json!({
        "Status": "FAILED", "Error": "Query #2 failed with ERROR: relation \"x\" does not exist",
        "SubStatements": [
            { "Status": "FINISHED", "QueryString": "SELECT 1" },
            { "Status": "FAILED", "QueryString": "-- why\nDELETE FROM x\nWHERE true", "Error": "ERROR: relation \"x\" does not exist" },
            { "Status": "ABORTED", "QueryString": "SELECT 3" },
        ],
    });
    let text = failure(&told).to_string();
    assert_eq!(text, "Redshift failed statement 2 of 3 (`DELETE FROM x`): ERROR: relation \"x\" does not exist");
    let alone = json!({ "Status": "FAILED", "QueryString": "SELECT x", "Error": "ERROR: no x\n  Position: 8" });
    assert_eq!(failure(&alone).to_string(), "Redshift failed statement (`SELECT x`): ERROR: no x\n  Position: 8");
    let overtaken =
        json!({ "Status": "FAILED", "Error": "ERROR: 1023 DETAIL: Serializable isolation violation on table" });
    assert!(matches!(failure(&overtaken), WarehouseError::Overtaken { .. }));
    assert!(failure(&json!({ "Status": "ABORTED" })).to_string().contains("it was stopped"));
}
