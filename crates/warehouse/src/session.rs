//! A session: one connection with Redshift's transaction rules, which are stricter than the engine's.
//!
//! The engine lets a transaction go on after some failures and answers the COMMIT of a failed one with success.
//! Here a failed statement aborts its transaction until ROLLBACK, and COMMIT of a failed one rolls back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use duckdb::{Connection, InterruptHandle};

use crate::database::{Shared, names};
use crate::error::{EngineFailure, WarehouseError};
use crate::outcome::{Column, Outcome, Tag, kind_of_name};
use crate::statement::create_table::CreateTable;
use crate::statement::merge::Merge;
use crate::statement::rewrite::Names;
use crate::statement::streaming::{ExternalFunction, ExternalSchema, StreamingView, TOPIC_COLUMNS};
use crate::statement::text::{Name, Piece, literal, quoted, split};
use crate::statement::{Dropped, Statement, parse};

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
            match self.run_piece(piece) {
                Ok(outcome) => each(outcome),
                Err(error) => {
                    if implicit {
                        self.rollback();
                    }
                    return Err(error);
                }
            }
        }
        if implicit && self.transaction == Transaction::Open {
            self.commit()?;
        }
        Ok(())
    }

    /// Runs one statement.
    pub fn run_piece(&mut self, piece: &Piece) -> Result<Outcome, WarehouseError> {
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
        self.execute(&statement).map_err(|error| self.fail(error))
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
                let rows = crate::copy::run(&self.connection, copy)?;
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
            Statement::Define { sql, tag, dropped } => self.define(sql, tag, dropped),
            Statement::Maintain { sql, tag } => {
                if self.transaction == Transaction::Open && *tag == "VACUUM" {
                    return Err(WarehouseError::refused("VACUUM in a transaction", "it runs on its own"));
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

    fn create_table(&mut self, table: &CreateTable) -> Result<Outcome, WarehouseError> {
        let (schema, name) = (table.name.schema_or_default().to_owned(), table.name.name.clone());
        let columns = &table.properties.columns;
        self.atomically(|session| {
            let existed = session.exists(&schema, &name)?;
            session.connection.execute_batch(&table.sql)?;
            if existed || table.temporary {
                return Ok(());
            }
            let list = |items: &[String]| {
                format!("[{}]::VARCHAR[]", items.iter().map(|item| literal(item)).collect::<Vec<_>>().join(", "))
            };
            let properties = &table.properties;
            let distkey = properties.distkey.as_ref().map_or("NULL".to_owned(), |key| literal(key));
            session.forget(&schema, &name)?;
            session.connection.execute_batch(&format!(
                "INSERT INTO weir_catalog.tables VALUES ({}, {}, {}, {distkey}, {}, {}, {})",
                literal(&schema),
                literal(&name),
                literal(&properties.diststyle),
                literal(&properties.sortstyle),
                list(&properties.sortkey),
                list(&properties.primary_key)
            ))?;
            for column in columns {
                session.connection.execute(
                    "INSERT INTO weir_catalog.columns VALUES (?, ?, ?, ?, ?)",
                    [&schema, &name, &column.name, &column.redshift_type, &column.encoding],
                )?;
            }
            Ok(())
        })?;
        self.catalog_changed();
        Ok(Outcome::done(Tag::plain("CREATE TABLE")))
    }

    pub(crate) fn exists(&self, schema: &str, name: &str) -> Result<bool, WarehouseError> {
        let count: i64 = self.connection.query_row(
            "SELECT count(*) FROM weir_pg.objects WHERE schema_name = ? AND name = ?",
            [schema, name],
            |row| row.get(0),
        )?;
        Ok(count > 0)
    }

    fn forget(&self, schema: &str, name: &str) -> Result<(), WarehouseError> {
        for table in ["tables", "columns"] {
            let sql = format!("DELETE FROM weir_catalog.{table} WHERE schema_name = ? AND table_name = ?");
            self.connection.execute(&sql, [schema, name])?;
        }
        Ok(())
    }

    fn create_external_schema(&mut self, schema: &ExternalSchema) -> Result<Outcome, WarehouseError> {
        let tag = Outcome::done(Tag::plain("CREATE SCHEMA"));
        let found: i64 = self.connection.query_row(
            "SELECT count(*) FROM weir_pg.pg_namespace WHERE nspname = ?",
            [&schema.name],
            |row| row.get(0),
        )?;
        if found > 0 {
            if schema.if_not_exists {
                return Ok(tag);
            }
            return Err(duplicate(format!("schema \"{}\" already exists", schema.name)));
        }
        self.connection.execute(
            "INSERT INTO weir_catalog.external_schemas VALUES (?, ?, ?)",
            [&schema.name, &schema.uri, &schema.authentication],
        )?;
        Ok(tag)
    }

    fn create_streaming_view(&mut self, view: &StreamingView) -> Result<Outcome, WarehouseError> {
        let (schema, name) = (view.name.schema_or_default().to_owned(), view.name.name.clone());
        self.atomically(|session| {
            let declared: i64 = session.connection.query_row(
                "SELECT count(*) FROM weir_catalog.external_schemas WHERE schema_name = ?",
                [&view.external_schema],
                |row| row.get(0),
            )?;
            if declared == 0 {
                return Err(WarehouseError::Engine {
                    kind: EngineFailure::MissingRelation,
                    message: format!("external schema \"{}\" does not exist", view.external_schema),
                });
            }
            let columns: Vec<_> =
                TOPIC_COLUMNS.iter().filter(|(name, ..)| view.columns.iter().any(|c| c == name)).collect();
            let list: Vec<String> =
                columns.iter().map(|(name, _, engine)| format!("{} {engine}", quoted(name))).collect();
            session.connection.execute_batch(&format!(
                "CREATE TABLE {}.{} ({})",
                quoted(&schema),
                quoted(&name),
                list.join(", ")
            ))?;
            session.forget(&schema, &name)?;
            for (column, redshift, _) in columns {
                session.connection.execute(
                    "INSERT INTO weir_catalog.columns VALUES (?, ?, ?, ?, '')",
                    [schema.as_str(), name.as_str(), column, redshift],
                )?;
            }
            let columns: Vec<String> = view.columns.iter().map(|column| literal(column)).collect();
            session.connection.execute_batch(&format!(
                "INSERT INTO weir_catalog.streaming_views VALUES ({}, {}, {}, {}, {}, [{}])",
                literal(&schema),
                literal(&name),
                literal(&view.external_schema),
                literal(&view.topic),
                view.auto_refresh,
                columns.join(", ")
            ))?;
            Ok(())
        })?;
        self.catalog_changed();
        Ok(Outcome::done(Tag::plain("CREATE MATERIALIZED VIEW")))
    }

    fn create_external_function(&mut self, function: &ExternalFunction) -> Result<Outcome, WarehouseError> {
        if !self.shared.can_decode {
            return Err(WarehouseError::unsupported(format!(
                "external function {} in a warehouse that was opened without a schema registry",
                function.name
            )));
        }
        self.atomically(|session| {
            let declared: i64 = session.connection.query_row(
                "SELECT count(*) FROM weir_catalog.functions WHERE function_name = ?",
                [&function.name],
                |row| row.get(0),
            )?;
            if declared > 0 && !function.or_replace {
                return Err(duplicate(format!("function {} already exists", function.name)));
            }
            session
                .connection
                .execute("DELETE FROM weir_catalog.functions WHERE function_name = ?", [&function.name])?;
            session
                .connection
                .execute("INSERT INTO weir_catalog.functions VALUES (?, ?)", [&function.name, &function.lambda])?;
            Ok(())
        })?;
        self.catalog_changed();
        Ok(Outcome::done(Tag::plain("CREATE FUNCTION")))
    }

    fn define(&mut self, sql: &str, tag: &str, dropped: &[Dropped]) -> Result<Outcome, WarehouseError> {
        self.atomically(|session| {
            for object in dropped {
                session.check_drop(object)?;
            }
            let external: Vec<bool> = dropped
                .iter()
                .map(|object| match object {
                    Dropped::Schema(name) => session.is_external(name),
                    _ => Ok(false),
                })
                .collect::<Result<_, _>>()?;
            if !external.contains(&true) {
                session.connection.execute_batch(sql)?;
            }
            for object in dropped {
                session.forget_object(object)?;
            }
            Ok(())
        })?;
        self.catalog_changed();
        Ok(Outcome::done(Tag::plain(tag)))
    }

    fn is_external(&self, schema: &str) -> Result<bool, WarehouseError> {
        let sql = "SELECT count(*) FROM weir_catalog.external_schemas WHERE schema_name = ?";
        Ok(self.connection.query_row(sql, [schema], |row| row.get::<_, i64>(0))? > 0)
    }

    fn is_streaming(&self, name: &Name) -> Result<bool, WarehouseError> {
        let sql = "SELECT count(*) FROM weir_catalog.streaming_views WHERE view_name = ? AND schema_name = coalesce(?, schema_name)";
        Ok(self.connection.query_row(sql, duckdb::params![name.name, name.schema], |row| row.get::<_, i64>(0))? > 0)
    }

    fn check_drop(&self, object: &Dropped) -> Result<(), WarehouseError> {
        let wrong = |message: String| WarehouseError::Engine { kind: EngineFailure::MissingRelation, message };
        match object {
            Dropped::Relation(name) if self.is_streaming(name)? => {
                Err(wrong(format!("\"{name}\" is a materialized view: use DROP MATERIALIZED VIEW")))
            }
            Dropped::StreamingView(name) if !self.is_streaming(name)? => {
                let any = self.exists(name.schema.as_deref().unwrap_or("public"), &name.name)?;
                if any { Err(wrong(format!("\"{name}\" is no materialized view"))) } else { Ok(()) }
            }
            Dropped::Schema(name) if name.starts_with("weir_") || name == "main" => {
                Err(wrong(format!("schema \"{name}\" does not exist")))
            }
            _ => Ok(()),
        }
    }

    fn forget_object(&self, object: &Dropped) -> Result<(), WarehouseError> {
        match object {
            Dropped::Relation(name) => self.forget(name.schema_or_default(), &name.name),
            Dropped::StreamingView(name) => {
                let schema = name.schema_or_default();
                self.forget(schema, &name.name)?;
                for table in ["streaming_views", "stream_positions"] {
                    let sql = format!("DELETE FROM weir_catalog.{table} WHERE schema_name = ? AND view_name = ?");
                    self.connection.execute(&sql, [schema, name.name.as_str()])?;
                }
                Ok(())
            }
            Dropped::Schema(name) => {
                for table in ["tables", "columns", "streaming_views", "stream_positions", "external_schemas"] {
                    let sql = format!("DELETE FROM weir_catalog.{table} WHERE schema_name = ?");
                    self.connection.execute(&sql, [name])?;
                }
                Ok(())
            }
        }
    }

    fn catalog_changed(&mut self) {
        self.names_of = 0;
        if self.transaction == Transaction::Open {
            self.catalog_touched = true;
        } else {
            self.shared.catalog_changed();
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<Outcome, WarehouseError> {
        let lower = value.to_lowercase();
        let unsupported = || WarehouseError::unsupported(format!("parameter {name} with the value {value}"));
        match name {
            "search_path" => {
                let schemas: Vec<&str> =
                    lower.split(',').map(str::trim).filter(|s| !s.is_empty() && *s != "$user").collect();
                if schemas.iter().any(|schema| schema.starts_with("weir_")) || schemas.is_empty() {
                    return Err(unsupported());
                }
                self.connection.execute_batch(&format!("SET search_path = {}", literal(&schemas.join(","))))?;
            }
            "timezone" => {
                if !["utc", "gmt", "default", "0"].contains(&lower.as_str()) {
                    return Err(unsupported());
                }
            }
            "client_encoding" => {
                if !["utf8", "utf-8", "unicode"].contains(&lower.as_str()) {
                    return Err(unsupported());
                }
            }
            "datestyle" => {
                if !lower.starts_with("iso") {
                    return Err(unsupported());
                }
            }
            "standard_conforming_strings" => {
                if !["on", "true"].contains(&lower.as_str()) {
                    return Err(unsupported());
                }
            }
            "enable_case_sensitive_identifier" | "enable_case_sensitive_super_attribute" => {
                if !["off", "false"].contains(&lower.as_str()) {
                    return Err(unsupported());
                }
            }
            // What a client tells of itself; nothing in the warehouse depends on it.
            "application_name" | "extra_float_digits" | "client_min_messages" | "query_group" => {}
            _ => return Err(WarehouseError::unsupported(format!("parameter {name}"))),
        }
        self.settings.insert(name.to_owned(), value.to_owned());
        Ok(Outcome::done(Tag::plain("SET")))
    }

    fn discard(&mut self) {
        let defaults = [
            ("search_path", "public, analytics, staging"),
            ("timezone", "UTC"),
            ("client_encoding", "UTF8"),
            ("datestyle", "ISO, MDY"),
            ("server_version", "8.0.2"),
            ("server_encoding", "UTF8"),
            ("transaction_isolation", "snapshot"),
            ("standard_conforming_strings", "on"),
            ("extra_float_digits", "0"),
            ("application_name", ""),
            ("enable_case_sensitive_identifier", "off"),
        ];
        self.settings = defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    }
}

fn text_column(name: &str) -> Column {
    Column { name: name.to_lowercase(), kind: crate::outcome::Kind::Text }
}

fn duplicate(message: String) -> WarehouseError {
    WarehouseError::Engine { kind: EngineFailure::Duplicate, message }
}

fn controls_transaction(piece: &Piece) -> bool {
    let mut cursor = crate::statement::text::Cursor::new(piece);
    ["begin", "start", "commit", "end", "rollback", "abort"].iter().any(|word| cursor.accept(word))
}
