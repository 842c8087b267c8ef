//! What is remembered of each idempotent producer, and what it decides about the next batch (KIP-98, KIP-360).

use std::collections::{HashMap, VecDeque};

use super::batch::Header;

/// Batches remembered per producer: clients keep at most five in flight.
const REMEMBERED: usize = 5;
/// Producers remembered per partition; the one that was quiet longest is forgotten first.
const PRODUCERS: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    arrived_ms: i64,
}

#[derive(Debug, Clone)]
struct Producer {
    epoch: i16,
    batches: VecDeque<Remembered>,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new: append it.
    Append,
    /// It was appended before, at this offset and time.
    Duplicate { base_offset: i64, arrived_ms: i64 },
    /// A batch before it is missing.
    OutOfOrder,
    /// It comes from a producer that has been replaced.
    StaleEpoch,
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    known: HashMap<i64, Producer>,
}

/// Sequence numbers run from 0 to `i32::MAX` and then from 0 again.
fn sequence_after(first: i32, records: i32) -> i32 {
    i32::try_from((i64::from(first) + i64::from(records)) % (1 << 31)).unwrap_or(0)
}

impl Producers {
    /// Decides about a batch; changes nothing.
    pub(crate) fn judge(&self, header: &Header) -> Verdict {
        if !header.is_idempotent() {
            return Verdict::Append;
        }
        let Some(producer) = self.known.get(&header.producer_id) else {
            // Its records may have been deleted by retention: any number may come next.
            return Verdict::Append;
        };
        if header.producer_epoch < producer.epoch {
            return Verdict::StaleEpoch;
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 { Verdict::Append } else { Verdict::OutOfOrder };
        }
        let last_sequence = sequence_after(header.base_sequence, header.last_offset_delta);
        let same = |b: &&Remembered| b.first_sequence == header.base_sequence && b.last_sequence == last_sequence;
        if let Some(found) = producer.batches.iter().find(same) {
            return Verdict::Duplicate { base_offset: found.base_offset, arrived_ms: found.arrived_ms };
        }
        match producer.batches.back() {
            Some(last) if sequence_after(last.last_sequence, 1) == header.base_sequence => Verdict::Append,
            Some(_) => Verdict::OutOfOrder,
            None => Verdict::Append,
        }
    }

    /// Remembers a batch that stands in the log.
    pub(crate) fn remember(&mut self, header: &Header) {
        if !header.is_idempotent() {
            return;
        }
        if self.known.len() >= PRODUCERS && !self.known.contains_key(&header.producer_id) {
            let quiet = |p: &Producer| p.batches.back().map_or(-1, |b| b.base_offset);
            if let Some(id) = self.known.iter().min_by_key(|(_, p)| quiet(p)).map(|(id, _)| *id) {
                self.known.remove(&id);
            }
        }
        let fresh = || Producer { epoch: header.producer_epoch, batches: VecDeque::with_capacity(REMEMBERED) };
        let producer = self.known.entry(header.producer_id).or_insert_with(fresh);
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Remembered {
            first_sequence: header.base_sequence,
            last_sequence: sequence_after(header.base_sequence, header.last_offset_delta),
            base_offset: header.base_offset,
            arrived_ms: header.max_timestamp,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::stamp;
    use crate::log::testing::Sketch;

    fn header(records: i32, epoch: i16, sequence: i32, offset: i64) -> Header {
        let mut bytes = Sketch::of(records).from(9, epoch, sequence).build();
        stamp(&mut bytes, offset, 0, 1_000 + offset);
        Header::parse(&bytes).unwrap()
    }

    #[test]
    fn a_repeated_batch_is_answered_with_its_first_offset_and_a_gap_is_refused() {
        let mut producers = Producers::default();
        for (sequence, offset) in [(0, 100), (3, 103), (6, 106)] {
            let batch = header(3, 0, sequence, offset);
            assert_eq!(producers.judge(&batch), Verdict::Append);
            producers.remember(&batch);
        }
        let again = header(3, 0, 3, 0);
        assert_eq!(producers.judge(&again), Verdict::Duplicate { base_offset: 103, arrived_ms: 1_103 });
        assert_eq!(producers.judge(&header(3, 0, 10, 0)), Verdict::OutOfOrder);
        assert_eq!(producers.judge(&header(2, 0, 3, 0)), Verdict::OutOfOrder);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_shuts_out_the_old_one() {
        let mut producers = Producers::default();
        producers.remember(&header(3, 0, 0, 0));
        assert_eq!(producers.judge(&header(1, 1, 5, 0)), Verdict::OutOfOrder);
        let first = header(1, 1, 0, 3);
        assert_eq!(producers.judge(&first), Verdict::Append);
        producers.remember(&first);
        assert_eq!(producers.judge(&header(3, 0, 3, 0)), Verdict::StaleEpoch);
    }

    #[test]
    fn sequence_numbers_wrap_to_zero() {
        let mut producers = Producers::default();
        producers.remember(&header(2, 0, i32::MAX - 1, 0));
        assert_eq!(producers.judge(&header(1, 0, 0, 0)), Verdict::Append);
        let mut over = Producers::default();
        over.remember(&header(3, 0, i32::MAX, 0));
        assert_eq!(over.judge(&header(1, 0, 2, 0)), Verdict::Append);
    }

    #[test]
    fn the_producer_that_was_quiet_longest_is_forgotten_first() {
        let mut producers = Producers::default();
        for id in 0..=i64::try_from(PRODUCERS).unwrap() {
            let mut bytes = Sketch::of(1).from(id, 0, 0).build();
            stamp(&mut bytes, id, 0, 0);
            producers.remember(&Header::parse(&bytes).unwrap());
        }
        assert_eq!(producers.known.len(), PRODUCERS);
        assert!(!producers.known.contains_key(&0) && producers.known.contains_key(&1));
    }
}
