//! The Postgres wire: loopback only, simple and extended protocol, one session per connection.
//!
//! Read first: [`serve`], then [`catalog`] (how psql's `\d` is answered).

mod cancel;
pub mod catalog;
mod client;
mod encode;
mod parameters;
mod socket;
mod users;

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use duckdb::InterruptHandle;
use futures::{Sink, SinkExt, stream};
use pgwire::api::cancel::CancelHandler;
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{
    ExtendedQueryHandler, SimpleQueryHandler, send_execution_response, send_query_response, send_ready_for_query,
};
use pgwire::api::results::{
    DescribePortalResponse, DescribeStatementResponse, FieldFormat, FieldInfo, QueryResponse, Response, Tag as WireTag,
};
use pgwire::api::stmt::{QueryParser, StoredStatement};
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, PgWireConnectionState, PgWireServerHandlers, Type};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};
use pgwire::messages::simplequery::Query;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use weir_core::diagnosis::{Diagnose, Retry};

use cancel::Cancels;
pub use client::Client;
use users::Startup;
pub use users::Users;

use crate::database::{Warehouse, locked};
use crate::error::WarehouseError;
use crate::outcome::{Column, Kind, Outcome, Tag};
use crate::session::{Session, Transaction};
use crate::statement::text::{Piece, bind, parameters as count_parameters, split};

/// Serves until `shutdown` is done; then cancels what runs and closes every connection.
pub async fn serve(
    warehouse: Arc<Warehouse>,
    listener: TcpListener,
    users: Users,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WarehouseError> {
    let address = listener.local_addr().map_err(|source| WarehouseError::Listen { source })?;
    if !address.ip().is_loopback() {
        return Err(WarehouseError::NotLoopback { address });
    }
    let cancels = Arc::new(Cancels::default());
    let server = Arc::new(Server { warehouse, users, cancels: cancels.clone() });
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let server = server.clone();
                    connections.spawn(async move {
                        if let Err(error) = pgwire::tokio::process_socket(socket, None, server).await {
                            tracing::debug!(error = %error, "a connection ended");
                        }
                    });
                }
                // One client that went away in between; a broken listener would fail again and again.
                Err(error) => {
                    tracing::warn!(error = %error, "could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    cancels.all();
    connections.shutdown().await;
    Ok(())
}

struct Server {
    warehouse: Arc<Warehouse>,
    users: Users,
    cancels: Arc<Cancels>,
}

impl PgWireServerHandlers for Server {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::new(self.handler())
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::new(self.handler())
    }

    fn startup_handler(&self) -> Arc<impl pgwire::api::auth::StartupHandler> {
        Arc::new(Startup::new(&self.users))
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        self.cancels.clone()
    }
}

impl Server {
    fn handler(&self) -> Handler {
        Handler { warehouse: self.warehouse.clone(), cancels: self.cancels.clone(), parser: Arc::new(Parser) }
    }
}

struct Handler {
    warehouse: Arc<Warehouse>,
    cancels: Arc<Cancels>,
    parser: Arc<Parser>,
}

/// A connection's session and the handle that cancels it.
struct Connected {
    session: Mutex<Session>,
    _interrupt: Arc<InterruptHandle>,
}

fn wire_error(error: &WarehouseError) -> ErrorInfo {
    let diagnosis = error.diagnosis();
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        message.push_str(&format!(": {next}"));
        source = next.source();
    }
    let mut info = ErrorInfo::new("ERROR".to_owned(), error.sqlstate().to_owned(), message);
    info.detail = Some(format!("{}: {}", diagnosis.code, diagnosis.cause));
    info.hint = Some(diagnosis.fix.to_owned());
    info.routine = Some(routine(diagnosis.retry));
    info
}

/// What an error's routine field says: the exit code that a command would end with.
fn routine(retry: Retry) -> String {
    format!("exit {}", retry.exit_code())
}

fn user_error(error: &WarehouseError) -> PgWireError {
    PgWireError::UserError(Box::new(wire_error(error)))
}

fn status(transaction: Transaction) -> TransactionStatus {
    match transaction {
        Transaction::None => TransactionStatus::Idle,
        Transaction::Open => TransactionStatus::Transaction,
        Transaction::Failed => TransactionStatus::Error,
    }
}

impl Handler {
    fn connected<C: ClientInfo>(&self, client: &C) -> PgWireResult<Arc<Connected>> {
        if let Some(connected) = client.session_extensions().get::<Connected>() {
            return Ok(connected);
        }
        let session = self.warehouse.session().map_err(|error| user_error(&error))?;
        let interrupt = session.interrupt_handle();
        let (pid, key) = client.pid_and_secret_key();
        self.cancels.add(pid, key, &interrupt);
        let connected = Connected { session: Mutex::new(session), _interrupt: interrupt };
        client.session_extensions().insert(connected);
        client.session_extensions().get::<Connected>().ok_or(PgWireError::NotReadyForQuery)
    }

    /// Runs blocking work on the connection's session.
    async fn on_session<C: ClientInfo, T: Send + 'static>(
        &self,
        client: &C,
        work: impl FnOnce(&mut Session) -> T + Send + 'static,
    ) -> PgWireResult<T> {
        let connected = self.connected(client)?;
        let done = tokio::task::spawn_blocking(move || work(&mut locked(&connected.session))).await;
        done.map_err(|error| PgWireError::ApiError(Box::new(error)))
    }
}

fn fields(columns: &[Column], format: &dyn Fn(usize) -> FieldFormat) -> Vec<FieldInfo> {
    let field = |(at, column): (usize, &Column)| {
        FieldInfo::new(column.name.clone(), None, None, encode::pg_type(column.kind), format(at))
            .with_type_modifier(encode::type_modifier(column.kind))
    };
    columns.iter().enumerate().map(field).collect()
}

fn query_response(outcome: &Outcome, format: &dyn Fn(usize) -> FieldFormat) -> QueryResponse {
    let fields = fields(&outcome.columns, format);
    let binary: Vec<bool> = fields.iter().map(|field| field.format() == FieldFormat::Binary).collect();
    let kinds: Vec<Kind> = outcome.columns.iter().map(|column| column.kind).collect();
    let batches = outcome.batches().to_vec();
    let rows = batches.into_iter().flat_map(move |batch| {
        let (kinds, binary) = (kinds.clone(), binary.clone());
        (0..batch.num_rows()).map(move |row| Ok(encode::row(&batch, row, &kinds, &binary)))
    });
    let mut response = QueryResponse::new(Arc::new(fields), stream::iter(rows));
    response.set_command_tag(&outcome.tag.command);
    response
}

fn wire_tag(tag: &Tag) -> WireTag {
    let wire = WireTag::new(&tag.command);
    let wire = if tag.command == "INSERT" { wire.with_oid(0) } else { wire };
    match tag.rows {
        Some(rows) => wire.with_rows(usize::try_from(rows).unwrap_or(usize::MAX)),
        None => wire,
    }
}

#[async_trait]
impl SimpleQueryHandler for Handler {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        client.set_state(PgWireConnectionState::QueryInProgress);
        let text = query.query;
        let (outcomes, error, transaction) = self
            .on_session(client, move |session| {
                let mut outcomes = Vec::new();
                let result = session.run_each(&text, |outcome| outcomes.push(outcome));
                (outcomes, result.err(), session.transaction())
            })
            .await?;
        if outcomes.is_empty() && error.is_none() {
            client.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for outcome in &outcomes {
            if outcome.has_rows() {
                send_query_response(client, query_response(outcome, &|_| FieldFormat::Text), true).await?;
            } else {
                send_execution_response(client, wire_tag(&outcome.tag)).await?;
            }
        }
        if let Some(error) = error {
            client.feed(PgWireBackendMessage::ErrorResponse(wire_error(&error).into())).await?;
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        client.set_transaction_status(status(transaction));
        send_ready_for_query(client, status(transaction)).await
    }

    async fn do_query<C>(&self, _client: &mut C, _query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // `on_query` above does it all: only there can the status of a half-done text be told.
        Err(PgWireError::NotReadyForQuery)
    }
}

/// A prepared statement.
#[derive(Debug, Clone)]
struct Prepared {
    text: String,
    parameters: usize,
}

struct Parser;

#[async_trait]
impl QueryParser for Parser {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, _client: &C, sql: &str, _types: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let pieces = split(sql).map_err(|error| user_error(&error))?;
        match pieces.as_slice() {
            [] => Ok(None),
            [piece] => Ok(Some(Prepared { text: piece.text.clone(), parameters: count_parameters(&pieces) })),
            _ => {
                let error = WarehouseError::syntax("cannot insert multiple commands into a prepared statement");
                Err(user_error(&error))
            }
        }
    }

    fn get_parameter_types(&self, statement: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(vec![Type::VARCHAR; statement.parameters])
    }

    fn get_result_schema(&self, _statement: &Prepared, _format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        Ok(Vec::new())
    }
}

fn one_piece(text: &str, literals: &[String]) -> Result<Piece, WarehouseError> {
    let bound = bind(text, literals)?;
    split(&bound)?.into_iter().next().ok_or_else(|| WarehouseError::syntax("an empty statement"))
}

fn literals(portal: &Portal<Prepared>) -> Result<Vec<String>, WarehouseError> {
    let literal = |(at, value): (usize, &Option<bytes::Bytes>)| {
        let kind = portal.statement.parameter_types.get(at).and_then(Option::as_ref);
        parameters::as_literal(value.as_ref(), kind, portal.parameter_format.is_binary(at))
    };
    portal.parameters.iter().enumerate().map(literal).collect()
}

fn portal_format(portal: &Portal<Prepared>, at: usize) -> FieldFormat {
    match &portal.result_column_format {
        Format::Individual(codes) if at >= codes.len() => FieldFormat::Text,
        format => format.format_for(at),
    }
}

#[async_trait]
impl ExtendedQueryHandler for Handler {
    type Statement = Prepared;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Parser> {
        self.parser.clone()
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Prepared>, _max_rows: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let text = portal.statement.statement.text.clone();
        let literals = literals(portal).map_err(|error| user_error(&error))?;
        let (result, transaction) = self
            .on_session(client, move |session| {
                let result = one_piece(&text, &literals).and_then(|piece| session.run_piece(&piece));
                (result, session.transaction())
            })
            .await?;
        match result {
            Ok(outcome) if outcome.has_rows() => {
                Ok(Response::Query(query_response(&outcome, &|at| portal_format(portal, at))))
            }
            Ok(outcome) => {
                let tag = wire_tag(&outcome.tag);
                let before = client.transaction_status();
                Ok(match (before, transaction) {
                    (TransactionStatus::Idle, Transaction::Open) => Response::TransactionStart(tag),
                    (TransactionStatus::Transaction | TransactionStatus::Error, Transaction::None) => {
                        Response::TransactionEnd(tag)
                    }
                    _ => Response::Execution(tag),
                })
            }
            Err(error) => {
                client.set_transaction_status(status(transaction));
                Err(user_error(&error))
            }
        }
    }

    async fn do_describe_statement<C>(
        &self,
        client: &mut C,
        target: &StoredStatement<Prepared>,
    ) -> PgWireResult<DescribeStatementResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = target.statement.clone();
        let kinds: Vec<Option<Type>> =
            (0..prepared.parameters).map(|at| target.parameter_types.get(at).cloned().flatten()).collect();
        let nulls = kinds.iter().map(|kind| parameters::null(kind.as_ref())).collect();
        let columns = self.describe(client, prepared.text, nulls).await?;
        let types = kinds.into_iter().map(|kind| kind.filter(|k| *k != Type::UNKNOWN).unwrap_or(Type::VARCHAR));
        Ok(DescribeStatementResponse::new(types.collect(), fields(&columns, &|_| FieldFormat::Text)))
    }

    async fn do_describe_portal<C>(
        &self,
        client: &mut C,
        portal: &Portal<Prepared>,
    ) -> PgWireResult<DescribePortalResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let literals = literals(portal).map_err(|error| user_error(&error))?;
        let columns = self.describe(client, portal.statement.statement.text.clone(), literals).await?;
        Ok(DescribePortalResponse::new(fields(&columns, &|at| portal_format(portal, at))))
    }
}

impl Handler {
    async fn describe<C: ClientInfo>(
        &self,
        client: &mut C,
        text: String,
        literals: Vec<String>,
    ) -> PgWireResult<Vec<Column>> {
        let (result, transaction) = self
            .on_session(client, move |session| {
                let result = one_piece(&text, &literals).and_then(|piece| session.describe(&piece));
                (result, session.transaction())
            })
            .await?;
        match result {
            Ok(columns) => Ok(columns.unwrap_or_default()),
            Err(error) => {
                client.set_transaction_status(status(transaction));
                Err(user_error(&error))
            }
        }
    }
}
