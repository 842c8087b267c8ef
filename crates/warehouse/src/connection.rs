//! What a warehouse is to those who load and ask it: the double in this process, or a Redshift elsewhere.

use weir_core::failpoint;
use weir_core::value::{Row, Value};

use crate::error::WarehouseError;
use crate::mirror::refresh::{Limit, Refreshed, refresh};
use crate::outcome::{Answer, Kind, parse};
use crate::script::qualified;
use crate::session::Session;
use crate::statement::text::{Cursor, Name, Piece, split};

/// Records that the double decodes and applies in one step; bounds memory and the length of a transaction.
const STEP: u64 = 100_000;

/// Failpoints of a transaction: before its commit, and behind it.
pub type Failpoints = (&'static str, &'static str);

/// A warehouse that takes Redshift's SQL.
pub trait Connection: Send {
    /// Runs statements and hands over what they give as it comes. Several ones without BEGIN are one transaction.
    fn stream(&mut self, text: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<(), WarehouseError>;

    /// Runs a script `BEGIN; .. COMMIT;`, all of it or nothing. After an error that may pass it can have been committed all
    /// the same: what it leaves behind tells.
    fn transaction(&mut self, script: &str, failpoints: Failpoints) -> Result<(), WarehouseError>;

    /// Runs statements, each in a transaction of its own.
    fn run_apart(&mut self, text: &str) -> Result<(), WarehouseError> {
        split(text)?.iter().try_for_each(|piece| self.stream(&piece.text, &mut |_| {}))
    }

    /// Takes new records of a topic into its streaming view. Redshift takes all that there are; what it took and is not
    /// applied yet is counted.
    fn refresh(&mut self, view: &Name) -> Result<Refreshed, WarehouseError> {
        let view = qualified(view.schema_or_default(), &view.name);
        self.run_apart(&format!("REFRESH MATERIALIZED VIEW {view}"))?;
        let records = self.scalar(&format!("SELECT COUNT(*) FROM {view}"))?;
        let records = records.and_then(|count| count.parse().ok()).unwrap_or_default();
        Ok(Refreshed { records, ..Refreshed::default() })
    }

    /// The rows of one query as values, of which none is held.
    fn each_row(&mut self, query: &str, each: &mut dyn FnMut(&Row)) -> Result<(), WarehouseError> {
        let mut kinds: Vec<Kind> = Vec::new();
        self.stream(query, &mut |answer| match answer {
            Answer::Columns(columns) => kinds = columns.iter().map(|column| column.kind).collect(),
            Answer::Row(cells) => {
                let values = cells.into_iter().zip(&kinds);
                each(&values.map(|(cell, kind)| cell.map_or(Value::Null, |text| parse(text, *kind))).collect());
            }
            Answer::Done(_) => {}
        })
    }

    /// The rows of one query as texts.
    fn rows(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>, WarehouseError> {
        let mut rows = Vec::new();
        self.stream(query, &mut |answer| {
            if let Answer::Row(row) = answer {
                rows.push(row);
            }
        })?;
        Ok(rows)
    }

    /// The one value of a query's one row, as text.
    fn scalar(&mut self, query: &str) -> Result<Option<String>, WarehouseError> {
        Ok(self.rows(query)?.into_iter().flatten().next().flatten())
    }
}

impl Connection for Session {
    fn stream(&mut self, text: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<(), WarehouseError> {
        Self::stream(self, text, each)
    }

    fn transaction(&mut self, script: &str, failpoints: Failpoints) -> Result<(), WarehouseError> {
        let done = in_pieces(&split(script)?, failpoints, |piece| self.run_piece(piece).map(drop));
        if done.is_err() {
            self.abandon();
        }
        done
    }

    fn refresh(&mut self, view: &Name) -> Result<Refreshed, WarehouseError> {
        refresh(self, view, Limit::Records(STEP))
    }

    fn each_row(&mut self, query: &str, each: &mut dyn FnMut(&Row)) -> Result<(), WarehouseError> {
        Self::each_row(self, query, each)
    }
}

/// Runs the statements of a transaction up to the first that fails, with the failpoints about its commit.
pub(crate) fn in_pieces(
    pieces: &[Piece],
    failpoints: Failpoints,
    mut run: impl FnMut(&Piece) -> Result<(), WarehouseError>,
) -> Result<(), WarehouseError> {
    for piece in pieces {
        let commits = Cursor::new(piece).accept("commit");
        if commits {
            failpoint::hit(failpoints.0);
        }
        run(piece)?;
        if commits {
            failpoint::hit(failpoints.1);
        }
    }
    Ok(())
}
