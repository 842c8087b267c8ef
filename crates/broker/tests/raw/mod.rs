//! A client that sends exactly what a test says, in exactly the version that it says.

pub mod behaviours;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

pub struct Raw(TcpStream);

impl Raw {
    pub fn connect(bootstrap: &str) -> Self {
        let stream = TcpStream::connect(bootstrap).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    /// Sends a request; none when the broker closes the connection instead of answering.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Option<R::Response> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        let mut answer = self.exchange(R::KEY, version, R::header_version(version), &body)?;
        ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
        let response = R::Response::decode(&mut answer, version).unwrap();
        assert!(answer.is_empty(), "{} bytes behind the answer", answer.len());
        Some(response)
    }

    /// Sends any bytes as a request's body.
    pub fn exchange(&mut self, key: i16, version: i16, header_version: i16, body: &[u8]) -> Option<Bytes> {
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(77)
            .with_client_id(Some(StrBytes::from_static_str("raw")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, header_version).unwrap();
        frame.extend_from_slice(body);
        let length = i32::try_from(frame.len()).unwrap();
        self.0.write_all(&[&length.to_be_bytes()[..], &frame].concat()).ok()?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut answer).ok()?;
        assert_eq!(answer[..4], 77i32.to_be_bytes());
        Some(answer.into())
    }

    /// The versions that the broker offers.
    pub fn offered(&mut self) -> Vec<(ApiKey, i16, i16)> {
        let answer = self.send(0, &kafka_protocol::messages::ApiVersionsRequest::default()).unwrap();
        let key = |a: &kafka_protocol::messages::api_versions_response::ApiVersion| {
            (ApiKey::try_from(a.api_key).unwrap(), a.min_version, a.max_version)
        };
        answer.api_keys.iter().map(key).collect()
    }
}

/// A record batch of a producer, uncompressed: one record per value.
pub fn batch(producer: (i64, i16, i32), values: &[&str]) -> Bytes {
    let mut records = Vec::new();
    for (n, value) in values.iter().enumerate() {
        let mut record = vec![0u8];
        varint(&mut record, 0);
        varint(&mut record, i64::try_from(n).unwrap());
        varint(&mut record, -1);
        varint(&mut record, i64::try_from(value.len()).unwrap());
        record.extend_from_slice(value.as_bytes());
        varint(&mut record, 0);
        varint(&mut records, i64::try_from(record.len()).unwrap());
        records.extend_from_slice(&record);
    }
    let count = i32::try_from(values.len()).unwrap();
    let mut out = Vec::new();
    out.extend_from_slice(&0i64.to_be_bytes());
    out.extend_from_slice(&i32::try_from(49 + records.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&(-1i32).to_be_bytes());
    out.push(2);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&0i16.to_be_bytes());
    out.extend_from_slice(&(count - 1).to_be_bytes());
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&producer.0.to_be_bytes());
    out.extend_from_slice(&producer.1.to_be_bytes());
    out.extend_from_slice(&producer.2.to_be_bytes());
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&records);
    let crc = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out.into()
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
}
