//! The header of a record batch, format v2 (Kafka protocol, "Record Batch"): read, checked, stamped.

/// Bytes before the records.
pub(crate) const HEADER: usize = 61;
/// Bytes before `batchLength` counts.
const PREFIX: usize = 12;
/// Where the checksummed part begins.
const CHECKED_FROM: usize = 21;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// What the broker reads of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub(crate) size: usize,
    pub(crate) leader_epoch: i32,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) records: i32,
}

/// Why bytes are no batch that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBatch {
    #[error("fewer bytes than the batch says")]
    Short,
    #[error("not record format v2")]
    Format,
    #[error("checksum does not match")]
    Checksum,
    #[error("record count and offsets do not match")]
    Count,
    #[error("unknown compression codec")]
    Codec,
    #[error("transactions are not supported by this broker")]
    Transactional,
    #[error("control batches come from brokers only")]
    Control,
    #[error("more than one batch for a partition")]
    Several,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl Header {
    /// Reads a header; `bytes` may go on behind it, or end before the batch does.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BadBatch> {
        if bytes.len() < HEADER {
            return Err(BadBatch::Short);
        }
        if bytes[16] != 2 {
            return Err(BadBatch::Format);
        }
        let length = usize::try_from(i32::from_be_bytes(array(bytes, 8))).map_err(|_| BadBatch::Short)?;
        if length < HEADER - PREFIX {
            return Err(BadBatch::Short);
        }
        let header = Self {
            base_offset: i64::from_be_bytes(array(bytes, 0)),
            size: length + PREFIX,
            leader_epoch: i32::from_be_bytes(array(bytes, 12)),
            crc: u32::from_be_bytes(array(bytes, 17)),
            attributes: i16::from_be_bytes(array(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)),
            max_timestamp: i64::from_be_bytes(array(bytes, 35)),
            producer_id: i64::from_be_bytes(array(bytes, 43)),
            producer_epoch: i16::from_be_bytes(array(bytes, 51)),
            base_sequence: i32::from_be_bytes(array(bytes, 53)),
            records: i32::from_be_bytes(array(bytes, 57)),
        };
        if header.last_offset_delta < 0 {
            return Err(BadBatch::Count);
        }
        Ok(header)
    }

    /// Offset behind the batch.
    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta) + 1
    }

    /// True when a producer numbers its batches.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }

    /// Checks a whole batch's sum.
    pub(crate) fn check_sum(&self, batch: &[u8]) -> Result<(), BadBatch> {
        if crc32c::crc32c(&batch[CHECKED_FROM..self.size]) == self.crc { Ok(()) } else { Err(BadBatch::Checksum) }
    }

    /// Checks what a producer sent: exactly one batch, whole, that this broker may keep.
    pub(crate) fn accept(bytes: &[u8]) -> Result<Self, BadBatch> {
        let header = Self::parse(bytes)?;
        if bytes.len() < header.size {
            return Err(BadBatch::Short);
        }
        header.check_sum(bytes)?;
        if bytes.len() > header.size {
            return Err(BadBatch::Several);
        }
        if header.records < 1 || header.records != header.last_offset_delta.saturating_add(1) {
            return Err(BadBatch::Count);
        }
        if header.attributes & CODEC_MASK > 4 {
            return Err(BadBatch::Codec);
        }
        if header.attributes & TRANSACTIONAL != 0 {
            return Err(BadBatch::Transactional);
        }
        if header.attributes & CONTROL != 0 {
            return Err(BadBatch::Control);
        }
        Ok(header)
    }
}

/// Writes the broker's part into a batch: where it stands, under which epoch, and when it arrived.
pub(crate) fn stamp(batch: &mut [u8], base_offset: i64, leader_epoch: i32, arrived_ms: i64) {
    let attributes = i16::from_be_bytes(array(batch, 21)) | LOG_APPEND_TIME;
    batch[0..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[35..43].copy_from_slice(&arrived_ms.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CHECKED_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::Sketch;

    #[test]
    fn a_stamped_batch_carries_offset_epoch_and_arrival_and_its_sum_holds() {
        let mut bytes = Sketch::of(3).created_at(5).build();
        stamp(&mut bytes, 700, 2, 99);
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.base_offset, header.leader_epoch, header.max_timestamp), (700, 2, 99));
        assert_eq!(header.next_offset(), 703);
        assert_ne!(header.attributes & LOG_APPEND_TIME, 0);
        header.check_sum(&bytes).unwrap();
    }

    #[test]
    fn a_batch_that_cannot_be_kept_is_refused_with_its_reason() {
        let good = Sketch::of(2).build();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let mut old = good.clone();
        old[16] = 1;
        let twice = [good.clone(), good.clone()].concat();
        for (bytes, reason) in [
            (&good[..good.len() - 1], BadBatch::Short),
            (&good[..10], BadBatch::Short),
            (&flipped, BadBatch::Checksum),
            (&old, BadBatch::Format),
            (&twice, BadBatch::Several),
            (&Sketch::of(2).claiming(3).build(), BadBatch::Count),
            (&Sketch::of(2).attributes(5).build(), BadBatch::Codec),
            (&Sketch::of(2).attributes(TRANSACTIONAL).build(), BadBatch::Transactional),
            (&Sketch::of(2).attributes(CONTROL).build(), BadBatch::Control),
        ] {
            assert_eq!(Header::accept(bytes).unwrap_err(), reason);
        }
        assert_eq!(Header::accept(&good).unwrap().records, 2);
    }
}
