//! The frames in which registries' serializers put an Avro body, and the body out of its compression, within bounds.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::bufread::ZlibDecoder;
use weir_core::schema_id::SchemaId;

use crate::record::Reject;

/// An Avro body as it stands in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// As it is.
    Plain(&'a [u8]),
    /// As a zlib stream.
    Zlib(&'a [u8]),
}

/// Splits a value into the id of its schema and its body.
///
/// Confluent's frame: byte 0, the schema's number in 4 big-endian bytes, the body. AWS Glue's: byte 3, a byte that
/// says how the body is compressed (0 not at all, 5 zlib), the 16 bytes of the schema version's UUID, the body.
pub fn frame(value: &[u8]) -> Result<(SchemaId, Body<'_>), Reject> {
    match value {
        [] => Err(Reject::Empty),
        [0, rest @ ..] => {
            let (number, body) = rest.split_first_chunk().ok_or(Reject::Truncated)?;
            Ok((u32::from_be_bytes(*number).into(), Body::Plain(body)))
        }
        [3, compression, rest @ ..] => {
            let (uuid, body) = rest.split_first_chunk::<16>().ok_or(Reject::Truncated)?;
            let body = match compression {
                0 => Body::Plain(body),
                5 => Body::Zlib(body),
                _ => return Err(Reject::BadCompression),
            };
            Ok(((*uuid).into(), body))
        }
        [3] => Err(Reject::Truncated),
        _ => Err(Reject::WrongMagic),
    }
}

impl<'a> Body<'a> {
    /// The Avro body. No more than `max` bytes are ever unpacked: one that is longer is [`Reject::TooLarge`].
    pub fn unpack(self, max: usize) -> Result<Cow<'a, [u8]>, Reject> {
        let packed = match self {
            Self::Plain(body) if body.len() > max => return Err(Reject::TooLarge),
            Self::Plain(body) => return Ok(Cow::Borrowed(body)),
            Self::Zlib(packed) => packed,
        };
        let mut unpacked = Vec::new();
        let mut zlib = ZlibDecoder::new(packed);
        let most = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        zlib.by_ref().take(most).read_to_end(&mut unpacked).map_err(|_| Reject::BadCompression)?;
        if unpacked.len() > max {
            return Err(Reject::TooLarge);
        }
        if zlib.total_in() != packed.len() as u64 {
            return Err(Reject::TrailingBytes);
        }
        Ok(Cow::Owned(unpacked))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    const UUID: [u8; 16] =
        [0xb7, 0xb4, 0xa7, 0xf0, 0x9c, 0x96, 0x4e, 0x4a, 0xa6, 0x87, 0xfb, 0x5d, 0xe9, 0xef, 0x0c, 0x63];

    fn glue(compression: u8, body: &[u8]) -> Vec<u8> {
        [&[3, compression][..], &UUID, body].concat()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_confluent_frame_is_split_into_number_and_body() {
        assert_eq!(frame(&[0, 0, 0, 1, 2, 9]), Ok((258.into(), Body::Plain(&[9]))));
        assert_eq!(frame(&[0, 0, 0, 0, 1]), Ok((1.into(), Body::Plain(&[]))));
    }

    #[test]
    fn a_glue_frame_is_split_into_uuid_and_body() {
        let value = hex::decode("0300b7b4a7f09c964e4aa687fb5de9ef0c63020a").unwrap();
        let (id, body) = frame(&value).unwrap();
        assert_eq!(id.to_string(), "b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63");
        assert_eq!(body, Body::Plain(&[2, 10]));
        // What Java's Deflater makes of the bytes of `aaaaaaaaaa` at its default level, behind the head.
        let value = hex::decode("0305b7b4a7f09c964e4aa687fb5de9ef0c63789c4b84030014e103cb").unwrap();
        let (id, body) = frame(&value).unwrap();
        assert_eq!(id, UUID.into());
        assert_eq!(&*body.unpack(10).unwrap(), b"aaaaaaaaaa");
    }

    #[test]
    fn a_value_without_a_frame_is_rejected_by_name() {
        assert_eq!(frame(&[]), Err(Reject::Empty));
        assert_eq!(frame(&[1, 0, 0, 0, 1]), Err(Reject::WrongMagic));
        assert_eq!(frame(&[0, 0, 0]), Err(Reject::Truncated));
        assert_eq!(frame(b"{\"op\":\"c\"}"), Err(Reject::WrongMagic));
        assert_eq!(frame(&[3]), Err(Reject::Truncated));
        assert_eq!(frame(&glue(0, &[])[..17]), Err(Reject::Truncated));
        assert_eq!(frame(&glue(4, &[2])), Err(Reject::BadCompression));
    }

    #[test]
    fn a_damaged_zlib_stream_is_rejected() {
        let whole = zlib(&[7; 1000]);
        for end in 0..whole.len() {
            assert_eq!(Body::Zlib(&whole[..end]).unpack(1000), Err(Reject::BadCompression), "{end}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert_eq!(Body::Zlib(&longer).unpack(1000), Err(Reject::TrailingBytes));
        let mut other = whole;
        let last = other.len() - 1;
        other[last] ^= 1;
        assert_eq!(Body::Zlib(&other).unpack(1000), Err(Reject::BadCompression));
    }

    #[test]
    fn a_zlib_bomb_is_too_large_and_is_never_unpacked_beyond_the_bound() {
        let bomb = zlib(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert_eq!(Body::Zlib(&bomb).unpack(1 << 20), Err(Reject::TooLarge));
        let exact = zlib(&[0; 100]);
        assert_eq!(Body::Zlib(&exact).unpack(99), Err(Reject::TooLarge));
        assert_eq!(Body::Zlib(&exact).unpack(100).unwrap().len(), 100);
        assert_eq!(Body::Plain(&[0; 100]).unpack(99), Err(Reject::TooLarge));
    }
}
