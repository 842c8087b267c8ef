//! A change's order key and commit time, from its source block.

use weir_core::order_key::{Lsn, OrderKey, PostgresPosition, SqlServerPosition};

use crate::record::Reject;
use crate::time;

/// What the walk over a message found in its source block.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Source<'a> {
    pub connector: Option<&'a [u8]>,
    pub millis: Option<i64>,
    pub micros: Option<i64>,
    pub nanos: Option<i64>,
    pub commit_lsn: Option<&'a [u8]>,
    pub change_lsn: Option<&'a [u8]>,
    pub serial: Option<i64>,
    pub sequence: Option<&'a [u8]>,
}

impl Source<'_> {
    /// The order key, by the rule of the connector that names itself in `source.connector`.
    pub(crate) fn order_key(&self) -> Result<OrderKey, Reject> {
        match self.connector {
            Some(b"sqlserver") => self.sql_server(),
            Some(b"postgresql") => self.postgres(),
            _ => Err(Reject::UnknownConnector),
        }
    }

    fn sql_server(&self) -> Result<OrderKey, Reject> {
        // Debezium prints a missing LSN as NULL where it prints it at all.
        let lsn = |text: Option<&[u8]>| match text {
            None | Some(b"NULL") => Ok(None),
            Some(text) => Lsn::of_ascii(text).map(Some).ok_or(Reject::BadPosition),
        };
        let commit_lsn = lsn(self.commit_lsn)?.ok_or(Reject::MissingPosition)?;
        let change_lsn = lsn(self.change_lsn)?;
        let serial = u64::try_from(self.serial.unwrap_or(0)).map_err(|_| Reject::BadPosition)?;
        Ok(SqlServerPosition { commit_lsn, change_lsn, serial }.into())
    }

    fn postgres(&self) -> Result<OrderKey, Reject> {
        let sequence = self.sequence.ok_or(Reject::MissingPosition)?;
        let [commit, own]: [Option<String>; 2] = serde_json::from_slice(sequence).map_err(|_| Reject::BadPosition)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| Reject::BadPosition);
        let last_commit_lsn = commit.as_deref().map_or(Ok(0), number)?;
        let lsn = number(own.as_deref().ok_or(Reject::MissingPosition)?)?;
        Ok(PostgresPosition { last_commit_lsn, lsn }.into())
    }

    /// The commit time in microseconds, from the finest of the three fields.
    pub(crate) fn commit_time(&self) -> Result<i64, Reject> {
        let fine = self.micros.or(self.nanos.map(|ns| ns.div_euclid(1000)));
        let us = match (fine, self.millis) {
            (Some(us), _) => us,
            (None, Some(ms)) => ms.checked_mul(1000).ok_or(Reject::BadTime)?,
            (None, None) => return Err(Reject::MissingPosition),
        };
        if time::in_range(us) { Ok(us) } else { Err(Reject::BadTime) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL_SERVER: Source<'static> = Source {
        connector: Some(b"sqlserver"),
        millis: Some(5),
        micros: None,
        nanos: None,
        commit_lsn: Some(b"0000002a:00000110:0001"),
        change_lsn: Some(b"0000002a:00000118:0001"),
        serial: Some(2),
        sequence: None,
    };

    #[test]
    fn a_snapshot_row_sorts_after_every_change_of_its_commit() {
        let snapshot = Source { change_lsn: None, serial: None, ..SQL_SERVER };
        assert!(SQL_SERVER.order_key().unwrap() < snapshot.order_key().unwrap());
    }

    #[test]
    fn postgres_takes_its_order_from_the_sequence() {
        let at = |sequence: Option<&str>| {
            let sequence = sequence.map(str::as_bytes);
            Source { connector: Some(b"postgresql"), sequence, ..Source::default() }.order_key()
        };
        let snapshot = at(Some("[null,\"26453200\"]")).unwrap();
        let change = at(Some("[\"26733400\",\"26734056\"]")).unwrap();
        assert!(snapshot < change);
        assert_eq!(at(None), Err(Reject::MissingPosition));
        assert_eq!(at(Some("[\"1\",null]")), Err(Reject::MissingPosition));
        assert_eq!(at(Some("[\"x\",\"2\"]")), Err(Reject::BadPosition));
        assert_eq!(at(Some("26734056")), Err(Reject::BadPosition));
    }

    #[test]
    fn a_position_that_is_missing_or_broken_is_rejected() {
        assert_eq!(Source { commit_lsn: None, ..SQL_SERVER }.order_key(), Err(Reject::MissingPosition));
        assert_eq!(Source { commit_lsn: Some(b"x"), ..SQL_SERVER }.order_key(), Err(Reject::BadPosition));
        assert_eq!(Source { serial: Some(-1), ..SQL_SERVER }.order_key(), Err(Reject::BadPosition));
        assert_eq!(Source { connector: Some(b"mysql"), ..SQL_SERVER }.order_key(), Err(Reject::UnknownConnector));
    }

    #[test]
    fn the_finest_commit_time_counts() {
        let at = |millis, micros, nanos| Source { millis, micros, nanos, ..SQL_SERVER }.commit_time();
        assert_eq!(at(Some(1), Some(1_234), Some(1_234_567)), Ok(1_234));
        assert_eq!(at(Some(1), None, Some(1_234_567)), Ok(1_234));
        assert_eq!(at(Some(1), None, None), Ok(1_000));
        assert_eq!(at(None, None, None), Err(Reject::MissingPosition));
        assert_eq!(at(Some(i64::MAX), None, None), Err(Reject::BadTime));
        assert_eq!(at(None, Some(i64::MAX), None), Err(Reject::BadTime));
    }
}
