//! How a record names the schema that it was written with.

use std::fmt;

/// The id of a writer schema in its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaId {
    /// A number, as Confluent's registry gives.
    Number(u32),
    /// The UUID of a schema version, as the AWS Glue Schema Registry gives.
    Version([u8; 16]),
}

impl From<u32> for SchemaId {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<[u8; 16]> for SchemaId {
    fn from(uuid: [u8; 16]) -> Self {
        Self::Version(uuid)
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Version(uuid) => {
                for (at, byte) in uuid.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_its_registry_writes_it() {
        assert_eq!(SchemaId::from(7).to_string(), "7");
        let uuid = 0xb7b4_a7f0_9c96_4e4a_a687_fb5d_e9ef_0c63_u128.to_be_bytes();
        assert_eq!(SchemaId::from(uuid).to_string(), "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63");
    }
}
