//! One JSON Schema per kind of file, made from the types in [`crate::file`].
//!
//! The same schemas judge the files when a project is read: an editor says what Weir says.

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::file::{ContractFile, EnvironmentFile, ModelFile, SourceFile, WeirFile};
use crate::resolve::DEFAULTS;

/// The schemas of all file kinds.
pub(crate) struct Schemas {
    pub weir: Value,
    pub environment: Value,
    pub source: Value,
    pub contract: Value,
    pub model: Value,
}

/// Made once per process.
pub(crate) fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| Schemas {
        weir: with_defaults(schema_of::<WeirFile>()),
        environment: with_defaults(schema_of::<EnvironmentFile>()),
        source: schema_of::<SourceFile>(),
        contract: schema_of::<ContractFile>(),
        model: schema_of::<ModelFile>(),
    })
}

/// File name (`weir.schema.json`) and text of each schema, as committed under `docs/reference/schema/`.
pub fn json_schemas() -> Vec<(&'static str, String)> {
    let all = schemas();
    let pretty = |schema: &Value| format!("{schema:#}\n");
    vec![
        ("weir.schema.json", pretty(&all.weir)),
        ("environment.schema.json", pretty(&all.environment)),
        ("source.schema.json", pretty(&all.source)),
        ("contract.schema.json", pretty(&all.contract)),
        ("model.schema.json", pretty(&all.model)),
    ]
}

fn schema_of<T: JsonSchema>() -> Value {
    let schema: Schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut value = Value::from(schema);
    refuse_null(&mut value);
    value
}

/// An optional key is left out, never written empty: `key:` without a value would do nothing. A type that has
/// null among its values names it first.
fn refuse_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type")
                && types.first() != Some(&json!("null"))
            {
                types.retain(|word| word != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            let reference = match map.get("anyOf") {
                Some(Value::Array(options)) => options.iter().find(|o| o.get("type") != Some(&json!("null"))).cloned(),
                _ => None,
            };
            if let Some(Value::Object(reference)) = reference {
                map.remove("anyOf");
                map.extend(reference);
            }
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            map.values_mut().for_each(refuse_null);
        }
        Value::Array(items) => items.iter_mut().for_each(refuse_null),
        _ => {}
    }
}

/// Writes each setting's default beside it.
fn with_defaults(mut schema: Value) -> Value {
    for (path, default) in DEFAULTS {
        let Some((section, key)) = path.split_once('.') else {
            continue;
        };
        let pointer = schema
            .pointer(&format!("/properties/{section}/$ref"))
            .and_then(Value::as_str)
            .map(|reference| format!("{}/properties/{key}", reference.trim_start_matches('#')));
        let property = pointer.and_then(|pointer| schema.pointer_mut(&pointer)).and_then(Value::as_object_mut);
        if let Some(property) = property {
            let value = match property.get("type").and_then(Value::as_str) {
                Some("integer" | "boolean") => serde_json::from_str(default).unwrap_or_else(|_| json!(default)),
                _ => json!(default),
            };
            property.insert("default".into(), value);
        }
    }
    schema
}

/// The definition behind `{"$ref": "#/$defs/X"}`, or the schema itself.
pub(crate) fn follow<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|r| root.pointer(r.trim_start_matches('#')));
    target.unwrap_or(schema)
}

/// `section.key` of every setting, from the environment schema; `stream.client` stands for all below it.
pub(crate) fn setting_paths() -> Vec<String> {
    let root = &schemas().environment;
    let properties = |schema| follow(root, schema).get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut out = Vec::new();
    for (section, schema) in properties(root) {
        out.extend(properties(schema).map(|(key, _)| format!("{section}.{key}")));
    }
    out
}
