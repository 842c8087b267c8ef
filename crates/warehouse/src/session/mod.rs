//! A session: one connection with Redshift's transaction rules, which are stricter than the engine's.
//!
//! The engine lets a transaction go on after some failures and answers the COMMIT of a failed one with success.
//! Here a failed statement aborts its transaction until ROLLBACK, and COMMIT of a failed one rolls back.

mod define;
mod grant;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use duckdb::arrow::array::RecordBatch;
use duckdb::{Connection, InterruptHandle};
use weir_core::value::Row;

use crate::database::{Shared, names};
use crate::error::WarehouseError;
use crate::lint;
use crate::outcome::{Answer, Column, Outcome, Tag, columns, kind_of_name, rows, values};
use crate::statement::merge::Merge;
use crate::statement::rewrite::Names;
use crate::statement::text::{Piece, split};
use crate::statement::{Statement, parse};

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// Between transactions.
    None,
    /// Inside one.
    Open,
    /// Inside one that a statement aborted.
    Failed,
}

/// One client's view of the warehouse.
pub struct Session {
    pub(crate) connection: Connection,
    pub(crate) shared: Arc<Shared>,
    transaction: Transaction,
    names: Names,
    names_of: u64,
    /// Whether the open transaction changed the catalog, which others see only after its commit.
    catalog_touched: bool,
    settings: BTreeMap<String, String>,
}

impl Session {
    pub(crate) fn new(connection: Connection, shared: Arc<Shared>) -> Result<Self, WarehouseError> {
        connection.execute_batch(
            "SET search_path = 'public,analytics,staging'; SET TimeZone = 'UTC'; SET integer_division = true;",
        )?;
        let mut session = Self {
            connection,
            shared,
            transaction: Transaction::None,
            names: Names::default(),
            names_of: 0,
            catalog_touched: false,
            settings: BTreeMap::new(),
        };
        session.discard();
        Ok(session)
    }

    /// Where it stands.
    pub fn transaction(&self) -> Transaction {
        self.transaction
    }

    /// Cancels what this session runs, from another thread.
    pub fn interrupt_handle(&self) -> Arc<InterruptHandle> {
        self.connection.interrupt_handle()
    }

    /// Runs a text of one or more statements. Several ones outside of BEGIN are one transaction.
    ///
    /// Stops at the first failure; what the text had done in the same transaction is undone.
    pub fn run(&mut self, text: &str) -> Result<Vec<Outcome>, WarehouseError> {
        let mut outcomes = Vec::new();
        self.run_each(text, |outcome| outcomes.push(outcome))?;
        Ok(outcomes)
    }

    /// As [`Session::run`], handing over each outcome as soon as it is there.
    pub fn run_each(&mut self, text: &str, mut each: impl FnMut(Outcome)) -> Result<(), WarehouseError> {
        self.each_piece(text, |session, piece| session.run_piece(piece).map(&mut each))
    }

    /// As [`Session::run`], handing over each row as soon as it is there: none is held.
    pub fn stream(&mut self, text: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<(), WarehouseError> {
        self.each_piece(text, |session, piece| {
            let statement = session.statement(piece)?;
            let (Statement::Query(sql) | Statement::CatalogQuery(sql)) = &statement else {
                let outcome = session.execute(&statement).map_err(|error| session.fail(error))?;
                outcome.answer(each);
                return Ok(());
            };
            let mut count = 0;
            let done = session.each_batch(sql, |columns, batch| match batch {
                None => each(Answer::Columns(columns)),
                Some(batch) => {
                    count += batch.num_rows() as u64;
                    rows(batch, each);
                }
            });
            done.map_err(|error| session.fail(error))?;
            each(Answer::Done(&Tag::counted("SELECT", count)));
            Ok(())
        })
    }

    /// The rows of one query as values, of which none is held.
    pub fn each_row(&mut self, query: &str, mut each: impl FnMut(&Row)) -> Result<(), WarehouseError> {
        self.each_piece(query, |session, piece| {
            let (Statement::Query(sql) | Statement::CatalogQuery(sql)) = session.statement(piece)? else {
                return Err(session.fail(WarehouseError::syntax("this is no query")));
            };
            let done = session.each_batch(&sql, |columns, batch| {
                if let Some(batch) = batch {
                    values(batch, columns, &mut each);
                }
            });
            done.map_err(|error| session.fail(error))
        })
    }

    fn each_piece(
        &mut self,
        text: &str,
        mut work: impl FnMut(&mut Self, &Piece) -> Result<(), WarehouseError>,
    ) -> Result<(), WarehouseError> {
        let pieces = match split(text) {
            Ok(pieces) => pieces,
            Err(error) => return Err(self.fail(error)),
        };
        let implicit =
            pieces.len() > 1 && self.transaction == Transaction::None && !pieces.iter().any(controls_transaction);
        if implicit {
            self.connection.execute_batch("BEGIN")?;
            self.transaction = Transaction::Open;
        }
        for piece in &pieces {
            if let Err(error) = work(self, piece) {
                if implicit {
                    self.rollback();
                }
                return Err(error);
            }
        }
        if implicit && self.transaction == Transaction::Open {
            self.commit()?;
        }
        Ok(())
    }

    /// Runs one statement.
    pub fn run_piece(&mut self, piece: &Piece) -> Result<Outcome, WarehouseError> {
        let statement = self.statement(piece)?;
        self.execute(&statement).map_err(|error| self.fail(error))
    }

    /// What a piece says, if the transaction still takes it.
    fn statement(&mut self, piece: &Piece) -> Result<Statement, WarehouseError> {
        let statement = match self.parse(piece) {
            Ok(statement) => statement,
            Err(error) => {
                let error = if self.transaction == Transaction::Failed { WarehouseError::Aborted } else { error };
                return Err(self.fail(error));
            }
        };
        if self.transaction == Transaction::Failed && !matches!(statement, Statement::Commit | Statement::Rollback) {
            return Err(WarehouseError::Aborted);
        }
        Ok(statement)
    }

    /// Columns that a statement would give, without running it; none for one without rows.
    pub fn describe(&mut self, piece: &Piece) -> Result<Option<Vec<Column>>, WarehouseError> {
        if self.transaction == Transaction::Failed {
            return Ok(None);
        }
        let statement = self.parse(piece).map_err(|error| self.fail(error))?;
        let sql = match statement {
            Statement::Query(sql) | Statement::CatalogQuery(sql) => sql,
            Statement::Explain(_) => return Ok(Some(vec![text_column("query plan")])),
            Statement::Show(name) => return Ok(Some(vec![text_column(&name)])),
            _ => return Ok(None),
        };
        let described = || -> Result<Vec<Column>, WarehouseError> {
            let mut statement = self.connection.prepare(&format!("DESCRIBE {sql}"))?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            let column =
                |(name, kind): (String, String)| Column { name: name.to_lowercase(), kind: kind_of_name(&kind) };
            Ok(rows.map(|row| row.map(column)).collect::<Result<_, _>>()?)
        };
        match described() {
            Ok(columns) => Ok(Some(columns)),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn parse(&mut self, piece: &Piece) -> Result<Statement, WarehouseError> {
        let version = self.shared.catalog_version.load(Ordering::SeqCst);
        if self.names_of != version && self.transaction != Transaction::Failed {
            self.names = names(&self.connection)?;
            self.names_of = version;
        }
        parse(piece, &self.names)
    }

    fn fail(&mut self, error: WarehouseError) -> WarehouseError {
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Failed;
        }
        // What a rolled back statement had made is known no more.
        self.names_of = 0;
        error
    }

    fn commit(&mut self) -> Result<(), WarehouseError> {
        self.transaction = Transaction::None;
        let committed = self.connection.execute_batch("COMMIT");
        if committed.is_err() {
            self.end_quietly();
        }
        if std::mem::take(&mut self.catalog_touched) {
            self.shared.catalog_changed();
        }
        Ok(committed?)
    }

    fn rollback(&mut self) {
        self.transaction = Transaction::None;
        self.names_of = 0;
        self.catalog_touched = false;
        self.end_quietly();
    }

    /// Ends a transaction that a failed script left open.
    pub(crate) fn abandon(&mut self) {
        if self.transaction != Transaction::None {
            self.rollback();
        }
    }

    /// The engine may have ended the transaction by itself; then there is nothing to roll back.
    fn end_quietly(&self) {
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            tracing::debug!(error = %error, "nothing to roll back");
        }
    }

    /// Runs `work` in the open transaction, or in one of its own.
    pub(crate) fn atomically<T>(
        &mut self,
        work: impl FnOnce(&Self) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        if self.transaction == Transaction::Open {
            return work(self);
        }
        self.connection.execute_batch("BEGIN")?;
        match work(self) {
            Ok(done) => match self.connection.execute_batch("COMMIT") {
                Ok(()) => Ok(done),
                Err(error) => {
                    self.end_quietly();
                    Err(error.into())
                }
            },
            Err(error) => {
                self.end_quietly();
                Err(error)
            }
        }
    }

    fn execute(&mut self, statement: &Statement) -> Result<Outcome, WarehouseError> {
        match statement {
            Statement::Begin { read_only } => {
                if self.transaction == Transaction::Open {
                    return Ok(Outcome::done(Tag::plain("BEGIN")));
                }
                self.connection.execute_batch(if *read_only { "BEGIN TRANSACTION READ ONLY" } else { "BEGIN" })?;
                self.transaction = Transaction::Open;
                Ok(Outcome::done(Tag::plain("BEGIN")))
            }
            Statement::Commit => {
                if self.transaction == Transaction::Failed {
                    self.rollback();
                    return Ok(Outcome::done(Tag::plain("ROLLBACK")));
                }
                if self.transaction == Transaction::Open {
                    self.commit()?;
                }
                Ok(Outcome::done(Tag::plain("COMMIT")))
            }
            Statement::Rollback => {
                if self.transaction != Transaction::None {
                    self.rollback();
                }
                Ok(Outcome::done(Tag::plain("ROLLBACK")))
            }
            Statement::Query(sql) | Statement::CatalogQuery(sql) => self.query(sql, "SELECT"),
            Statement::Explain(sql) => {
                let rows = self.query(sql, "EXPLAIN")?.rows();
                let plan: Vec<String> = rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect();
                Ok(Outcome::text_row("query plan", &plan.join("\n"), "EXPLAIN"))
            }
            Statement::Insert(sql) => self.write(sql, "INSERT"),
            Statement::Update(sql) => self.write(sql, "UPDATE"),
            Statement::Delete(sql) => self.write(sql, "DELETE"),
            Statement::Truncate(table) => {
                self.write(&format!("DELETE FROM {}", table.sql()), "TRUNCATE TABLE")?;
                if self.transaction == Transaction::Open {
                    self.commit()?;
                }
                Ok(Outcome::done(Tag::plain("TRUNCATE TABLE")))
            }
            Statement::Merge(merge) => self.merge(merge),
            Statement::Copy(copy) => {
                let rows = crate::copy::run(&self.connection, copy, &self.shared)?;
                Ok(Outcome::done(Tag::counted("COPY", rows)))
            }
            Statement::CreateTable(table) => self.create_table(table),
            Statement::CreateExternalSchema(schema) => self.create_external_schema(schema),
            Statement::CreateStreamingView(view) => self.create_streaming_view(view),
            Statement::CreateExternalFunction(function) => self.create_external_function(function),
            Statement::Refresh(view) => {
                crate::mirror::refresh::refresh(self, view, crate::mirror::refresh::Limit::CaughtUp)?;
                Ok(Outcome::done(Tag::plain("REFRESH MATERIALIZED VIEW")))
            }
            Statement::Grant(grant) => self.grant(grant),
            Statement::Define { sql, tag, dropped } => self.define(sql, tag, dropped),
            Statement::Maintain { sql, tag } => {
                if self.transaction == Transaction::Open && *tag == "VACUUM" {
                    return Err(WarehouseError::Refused(lint::in_a_transaction()));
                }
                self.connection.execute_batch(sql)?;
                Ok(Outcome::done(Tag::plain(tag)))
            }
            Statement::Set { name, value } => self.set(name, value),
            Statement::Show(name) => {
                let value = self.settings.get(name).cloned();
                let value = value.ok_or_else(|| WarehouseError::unsupported(format!("parameter {name}")))?;
                Ok(Outcome::text_row(name, &value, "SHOW"))
            }
            Statement::Discard => {
                self.connection.execute_batch("SET search_path = 'public,analytics,staging'")?;
                self.discard();
                Ok(Outcome::done(Tag::plain("DISCARD ALL")))
            }
        }
    }

    pub(crate) fn query(&self, sql: &str, command: &str) -> Result<Outcome, WarehouseError> {
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_arrow([])?;
        let schema = rows.get_schema();
        Ok(Outcome::query(&schema, rows.collect(), command))
    }

    /// Hands over a query's columns, once without a batch, then with each batch of its rows.
    fn each_batch(
        &self,
        sql: &str,
        mut each: impl FnMut(&[Column], Option<&RecordBatch>),
    ) -> Result<(), WarehouseError> {
        let mut statement = self.connection.prepare(sql)?;
        let batches = statement.query_arrow([])?;
        let columns = columns(&batches.get_schema());
        each(&columns, None);
        batches.for_each(|batch| each(&columns, Some(&batch)));
        Ok(())
    }

    fn write(&self, sql: &str, command: &str) -> Result<Outcome, WarehouseError> {
        let rows = self.connection.execute(sql, [])?;
        Ok(Outcome::done(Tag::counted(command, rows as u64)))
    }

    fn merge(&self, merge: &Merge) -> Result<Outcome, WarehouseError> {
        let any = |sql: &str| -> Result<bool, WarehouseError> { Ok(self.query(sql, "SELECT")?.scalar().is_some()) };
        // A repeated key harms only where a target row has it; the engine would update it once, silently.
        if any(&merge.repeated)? && any(&merge.matched_twice)? {
            return Err(WarehouseError::MatchedTwice { table: merge.table.to_string() });
        }
        self.write(&merge.sql, "MERGE")
    }

    fn catalog_changed(&mut self) {
        self.names_of = 0;
        if self.transaction == Transaction::Open {
            self.catalog_touched = true;
        } else {
            self.shared.catalog_changed();
        }
    }
}

fn text_column(name: &str) -> Column {
    Column { name: name.to_lowercase(), kind: crate::outcome::Kind::Text }
}

/// Whether a statement begins or ends a transaction.
pub(crate) fn controls_transaction(piece: &Piece) -> bool {
    let mut cursor = crate::statement::text::Cursor::new(piece);
    ["begin", "start", "commit", "end", "rollback", "abort"].iter().any(|word| cursor.accept(word))
}
