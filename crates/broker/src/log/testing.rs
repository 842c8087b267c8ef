//! Batches for tests: the header is real, the records are filler.

/// A batch to be built.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    records: i32,
    claimed: i32,
    attributes: i16,
    created_at: i64,
    producer: (i64, i16, i32),
    filler: usize,
}

impl Sketch {
    pub(crate) fn of(records: i32) -> Self {
        Self { records, claimed: records, attributes: 0, created_at: 0, producer: (-1, -1, -1), filler: 40 }
    }

    pub(crate) fn created_at(self, created_at: i64) -> Self {
        Self { created_at, ..self }
    }

    pub(crate) fn claiming(self, claimed: i32) -> Self {
        Self { claimed, ..self }
    }

    pub(crate) fn attributes(self, attributes: i16) -> Self {
        Self { attributes, ..self }
    }

    pub(crate) fn from(self, id: i64, epoch: i16, sequence: i32) -> Self {
        Self { producer: (id, epoch, sequence), ..self }
    }

    pub(crate) fn filled(self, filler: usize) -> Self {
        Self { filler, ..self }
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&0i64.to_be_bytes());
        out.extend_from_slice(&i32::try_from(49 + self.filler).unwrap().to_be_bytes());
        out.extend_from_slice(&(-1i32).to_be_bytes());
        out.push(2);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.attributes.to_be_bytes());
        out.extend_from_slice(&(self.records - 1).to_be_bytes());
        out.extend_from_slice(&self.created_at.to_be_bytes());
        out.extend_from_slice(&self.created_at.to_be_bytes());
        out.extend_from_slice(&self.producer.0.to_be_bytes());
        out.extend_from_slice(&self.producer.1.to_be_bytes());
        out.extend_from_slice(&self.producer.2.to_be_bytes());
        out.extend_from_slice(&self.claimed.to_be_bytes());
        out.resize(61 + self.filler, 7);
        let crc = crc32c::crc32c(&out[21..]);
        out[17..21].copy_from_slice(&crc.to_be_bytes());
        out
    }
}
