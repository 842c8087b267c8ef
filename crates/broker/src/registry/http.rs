//! The REST face: paths, parameters, error bodies as Confluent's Schema Registry API has them.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::compatibility::Level;
use super::store::Which;
use super::store::{Found, Mode, Refused, Store};
use crate::locked;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

#[derive(Clone)]
struct App(Arc<Mutex<Store>>);

impl App {
    fn store(&self) -> MutexGuard<'_, Store> {
        locked(&self.0)
    }
}

/// An error as clients read it.
struct Failed {
    code: u32,
    message: String,
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        if matches!(refused, Refused::Storage(_)) {
            tracing::error!(error = %refused, "could not write the registry's journal");
        }
        Self { code: refused.code(), message: refused.to_string() }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = if self.code > 999 { self.code / 100 } else { self.code };
        let status = u16::try_from(status).ok().and_then(|s| StatusCode::from_u16(s).ok());
        let body = json!({ "error_code": self.code, "message": self.message });
        answer(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &body)
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response()
}

/// What every handler gives.
type Answer = Result<Response, Failed>;

fn ok(body: &Value) -> Answer {
    Ok(answer(StatusCode::OK, body))
}

/// The paths that are served.
pub(super) fn routes(store: Arc<Mutex<Store>>) -> Router {
    Router::new()
        .route("/", get(async || ok(&json!({}))))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(lookup).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version).delete(delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_schema))
        .route("/schemas/types", get(async || ok(&json!(["AVRO"]))))
        .route("/schemas/ids/{id}", get(by_id))
        .route("/schemas/ids/{id}/schema", get(schema_by_id))
        .route("/schemas/ids/{id}/subjects", get(subjects_by_id))
        .route("/schemas/ids/{id}/versions", get(versions_by_id))
        .route("/compatibility/subjects/{subject}/versions", post(compatible_with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatible))
        .route("/config", get(global_level).put(set_global_level).delete(reset_global_level))
        .route("/config/{subject}", get(level).put(set_level).delete(reset_level))
        .route("/mode", get(global_mode).put(set_global_mode))
        .route("/mode/{subject}", get(mode).put(set_mode).delete(reset_mode))
        .fallback(async || Failed { code: 404, message: "HTTP 404 Not Found".into() })
        .method_not_allowed_fallback(async || Failed { code: 405, message: "HTTP 405 Method Not Allowed".into() })
        .with_state(App(store))
}

fn read<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Failed> {
    serde_json::from_slice(body).map_err(|error| Failed { code: 422, message: format!("Invalid request: {error}") })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaBody {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    deleted: bool,
    permanent: bool,
    normalize: Normalize,
    verbose: bool,
    default_to_global: bool,
    subject_prefix: String,
}

/// Python's client writes `False`.
#[derive(Default, Deserialize)]
enum Normalize {
    #[default]
    #[serde(alias = "False")]
    #[serde(rename = "false")]
    No,
    #[serde(alias = "True")]
    #[serde(rename = "true")]
    Yes,
}

/// The schema of a request, if it is one that this registry understands.
fn schema_of(body: &Bytes, options: &Options) -> Result<String, Failed> {
    let body: SchemaBody = read(body)?;
    if body.schema_type.is_some_and(|t| t != "AVRO") {
        return Err(Refused::Unsupported("this registry knows schemaType AVRO only").into());
    }
    if body.references.is_some_and(|r| !r.is_empty()) {
        return Err(Refused::Unsupported("this registry knows no references; write the types out").into());
    }
    if matches!(options.normalize, Normalize::Yes) {
        return Err(Refused::Unsupported("this registry does not normalize").into());
    }
    Ok(body.schema)
}

fn which(text: &str) -> Result<Which, Failed> {
    match text {
        "latest" | "-1" => Ok(Which::Latest),
        _ => match text.parse() {
            Ok(n) if (1..=i32::MAX.unsigned_abs()).contains(&n) => Ok(Which::Number(n)),
            _ => Err(Refused::WhichVersion(text.into()).into()),
        },
    }
}

fn id_of(text: &str) -> Result<u32, Failed> {
    text.parse().map_err(|_| Failed { code: 404, message: "HTTP 404 Not Found".into() })
}

fn found(found: &Found) -> Value {
    json!({ "subject": found.subject, "version": found.version, "id": found.id, "schema": found.schema })
}

async fn subjects(State(app): State<App>, Query(options): Query<Options>) -> Answer {
    let mut names = app.store().subjects(options.deleted);
    names.retain(|name| name.starts_with(&options.subject_prefix));
    ok(&json!(names))
}

async fn versions(State(app): State<App>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    ok(&json!(app.store().versions(&subject, options.deleted)?))
}

async fn register(
    State(app): State<App>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    body: Bytes,
) -> Answer {
    let schema = schema_of(&body, &options)?;
    ok(&json!({ "id": app.store().register(&subject, &schema)? }))
}

async fn lookup(
    State(app): State<App>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    body: Bytes,
) -> Answer {
    let schema = schema_of(&body, &options)?;
    ok(&found(&app.store().lookup(&subject, &schema, options.deleted)?))
}

async fn version(
    State(app): State<App>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Answer {
    ok(&found(&app.store().resolve(&subject, which(&version)?, options.deleted)?))
}

async fn version_schema(
    State(app): State<App>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Answer {
    let schema = app.store().resolve(&subject, which(&version)?, options.deleted)?.schema;
    Ok(raw(schema))
}

fn raw(schema: String) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], schema).into_response()
}

async fn by_id(State(app): State<App>, Path(id): Path<String>) -> Answer {
    ok(&json!({ "schema": app.store().schema(id_of(&id)?)? }))
}

async fn schema_by_id(State(app): State<App>, Path(id): Path<String>) -> Answer {
    Ok(raw(app.store().schema(id_of(&id)?)?.to_owned()))
}

async fn subjects_by_id(State(app): State<App>, Path(id): Path<String>) -> Answer {
    let mut names: Vec<_> = app.store().uses(id_of(&id)?)?.into_iter().map(|(subject, _)| subject).collect();
    names.dedup();
    ok(&json!(names))
}

async fn versions_by_id(State(app): State<App>, Path(id): Path<String>) -> Answer {
    let uses = app.store().uses(id_of(&id)?)?;
    let uses: Vec<_> =
        uses.iter().map(|(subject, version)| json!({ "subject": subject, "version": version })).collect();
    ok(&json!(uses))
}

async fn delete_subject(State(app): State<App>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    let mut store = app.store();
    let gone = if options.permanent { store.remove_subject(&subject) } else { store.hide_subject(&subject) };
    ok(&json!(gone?))
}

async fn delete_version(
    State(app): State<App>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Answer {
    let which = which(&version)?;
    let mut store = app.store();
    let gone =
        if options.permanent { store.remove_version(&subject, which) } else { store.hide_version(&subject, which) };
    ok(&json!(gone?))
}

fn verdict(problems: &[String], verbose: bool) -> Answer {
    let mut body = json!({ "is_compatible": problems.is_empty() });
    if verbose {
        body["messages"] = json!(problems);
    }
    ok(&body)
}

async fn compatible(
    State(app): State<App>,
    Path((subject, version)): Path<(String, String)>,
    Query(options): Query<Options>,
    body: Bytes,
) -> Answer {
    let schema = schema_of(&body, &options)?;
    let problems = app.store().problems(&subject, Some(which(&version)?), &schema)?;
    verdict(&problems, options.verbose)
}

async fn compatible_with_all(
    State(app): State<App>,
    Path(subject): Path<String>,
    Query(options): Query<Options>,
    body: Bytes,
) -> Answer {
    let schema = schema_of(&body, &options)?;
    let problems = app.store().problems(&subject, None, &schema)?;
    verdict(&problems, options.verbose)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelBody {
    compatibility: String,
}

fn level_in(body: &Bytes) -> Result<Level, Failed> {
    let body: LevelBody = read(body)?;
    body.compatibility.parse().map_err(|()| Refused::Level.into())
}

async fn global_level(State(app): State<App>) -> Answer {
    ok(&json!({ "compatibilityLevel": app.store().level(None).name() }))
}

async fn set_global_level(State(app): State<App>, body: Bytes) -> Answer {
    let level = level_in(&body)?;
    app.store().set_level(None, Some(level))?;
    ok(&json!({ "compatibility": level.name() }))
}

async fn reset_global_level(State(app): State<App>) -> Answer {
    let mut store = app.store();
    let was = store.level(None);
    store.set_level(None, None)?;
    ok(&json!({ "compatibilityLevel": was.name() }))
}

async fn level(State(app): State<App>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    let store = app.store();
    let level = if options.default_to_global { store.level(Some(&subject)) } else { store.own_level(&subject)? };
    ok(&json!({ "compatibilityLevel": level.name() }))
}

async fn set_level(State(app): State<App>, Path(subject): Path<String>, body: Bytes) -> Answer {
    let level = level_in(&body)?;
    app.store().set_level(Some(&subject), Some(level))?;
    ok(&json!({ "compatibility": level.name() }))
}

async fn reset_level(State(app): State<App>, Path(subject): Path<String>) -> Answer {
    let mut store = app.store();
    let was = store.own_level(&subject)?;
    store.set_level(Some(&subject), None)?;
    ok(&json!({ "compatibilityLevel": was.name() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeBody {
    mode: Value,
}

fn mode_in(body: &Bytes) -> Result<Mode, Failed> {
    let body: ModeBody = read(body)?;
    serde_json::from_value(body.mode).map_err(|_| Refused::Mode.into())
}

async fn global_mode(State(app): State<App>) -> Answer {
    ok(&json!({ "mode": app.store().mode(None) }))
}

async fn set_global_mode(State(app): State<App>, body: Bytes) -> Answer {
    let mode = mode_in(&body)?;
    app.store().set_mode(None, Some(mode))?;
    ok(&json!({ "mode": mode }))
}

async fn mode(State(app): State<App>, Path(subject): Path<String>, Query(options): Query<Options>) -> Answer {
    let store = app.store();
    let mode = if options.default_to_global { store.mode(Some(&subject)) } else { store.own_mode(&subject)? };
    ok(&json!({ "mode": mode }))
}

async fn set_mode(State(app): State<App>, Path(subject): Path<String>, body: Bytes) -> Answer {
    let mode = mode_in(&body)?;
    app.store().set_mode(Some(&subject), Some(mode))?;
    ok(&json!({ "mode": mode }))
}

async fn reset_mode(State(app): State<App>, Path(subject): Path<String>) -> Answer {
    let mut store = app.store();
    let was = store.own_mode(&subject)?;
    store.set_mode(Some(&subject), None)?;
    ok(&json!({ "mode": was }))
}
