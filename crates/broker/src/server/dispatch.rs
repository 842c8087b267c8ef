//! From a frame to the function that answers it, and which versions of what are answered at all.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

use super::{admin, configs, fetch, groups, list_offsets, metadata, produce, refuse};
use crate::broker::Shared;

/// What is answered: (request, lowest version, highest version).
pub(super) const SERVED: [(ApiKey, i16, i16); 24] = [
    (ApiKey::Produce, 3, 9),
    (ApiKey::Fetch, 4, 16),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 8),
    (ApiKey::FindCoordinator, 0, 4),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::DescribeCluster, 0, 1),
];

/// Why a connection is closed instead of an answer: what Kafka does with requests it cannot read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("request {key} in version {version} is not served")]
    Version { key: i16, version: i16 },
    #[error("the request cannot be read: {0}")]
    Malformed(String),
    #[error("the answer cannot be written: {0}")]
    Answer(String),
}

/// A request that has been recognised.
struct Request {
    key: ApiKey,
    version: i16,
    header: RequestHeader,
    body: Bytes,
}

impl Request {
    fn read<T: Decodable>(&self) -> Result<T, Refused> {
        T::decode(&mut self.body.clone(), self.version).map_err(|error| Refused::Malformed(error.to_string()))
    }

    fn write<T: Encodable + HeaderVersion>(&self, answer: &T) -> Result<Option<Bytes>, Refused> {
        write(self.header.correlation_id, self.version, answer).map(Some)
    }
}

fn write<T: Encodable + HeaderVersion>(correlation_id: i32, version: i16, answer: &T) -> Result<Bytes, Refused> {
    let failed = |error: &dyn std::fmt::Display| Refused::Answer(error.to_string());
    let size = answer.compute_size(version).map_err(|e| failed(&e))?;
    let mut out = BytesMut::with_capacity(size + 16);
    out.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut out, T::header_version(version)).map_err(|e| failed(&e))?;
    answer.encode(&mut out, version).map_err(|e| failed(&e))?;
    let length = i32::try_from(out.len() - 4).map_err(|e| failed(&e))?;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Ok(out.freeze())
}

fn api_versions(error: i16) -> ApiVersionsResponse {
    let version = |(key, min, max): &(ApiKey, i16, i16)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(SERVED.iter().map(version).collect())
}

/// Answers one request; none for a produce that wants no answer.
pub(super) async fn answer(shared: &Arc<Shared>, frame: Bytes, peer: SocketAddr) -> Result<Option<Bytes>, Refused> {
    if frame.len() < 8 {
        return Err(Refused::Malformed("shorter than a header".into()));
    }
    let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
    let (key, version) = (number(0), number(2));
    let served = SERVED.iter().find(|(k, _, _)| *k as i16 == key);
    let Some((api, _, _)) = served.filter(|(_, min, max)| (*min..=*max).contains(&version)) else {
        if key == ApiKey::ApiVersions as i16 {
            // A client that is too new must be able to read what it may ask for: version 0 (KIP-511).
            let correlation_id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
            return write(correlation_id, 0, &api_versions(ResponseError::UnsupportedVersion.code())).map(Some);
        }
        return match refuse::transactional(key, version, frame) {
            Some((correlation_id, answer)) => answer.write(correlation_id, version).map(Some),
            None => Err(Refused::Version { key, version }),
        };
    };
    let mut body = frame;
    let header = RequestHeader::decode(&mut body, api.request_header_version(version))
        .map_err(|error| Refused::Malformed(error.to_string()))?;
    route(shared, Request { key: *api, version, header, body }, peer).await
}

impl refuse::Answer {
    fn write(&self, correlation_id: i32, version: i16) -> Result<Bytes, Refused> {
        match self {
            Self::AddPartitions(answer) => write(correlation_id, version, answer),
            Self::AddOffsets(answer) => write(correlation_id, version, answer),
            Self::OffsetCommit(answer) => write(correlation_id, version, answer),
            Self::End(answer) => write(correlation_id, version, answer),
        }
    }
}

async fn route(shared: &Arc<Shared>, r: Request, peer: SocketAddr) -> Result<Option<Bytes>, Refused> {
    let version = r.version;
    match r.key {
        ApiKey::Produce => match produce::produce(shared, r.read()?).await {
            Some(answer) => r.write(&answer),
            None => Ok(None),
        },
        ApiKey::Fetch => {
            let answer = fetch::fetch(shared, version, r.read()?).await;
            r.write(&answer)
        }
        ApiKey::ListOffsets => {
            let answer = list_offsets::list_offsets(shared, r.read()?).await;
            r.write(&answer)
        }
        ApiKey::OffsetForLeaderEpoch => r.write(&list_offsets::end_of_epoch(shared, &r.read()?)),
        ApiKey::Metadata => r.write(&metadata::metadata(shared, version, &r.read()?)),
        ApiKey::DescribeCluster => r.write(&metadata::describe_cluster(shared)),
        ApiKey::FindCoordinator => r.write(&metadata::find_coordinator(shared, version, &r.read()?)),
        ApiKey::ApiVersions => r.write(&api_versions(0)),
        ApiKey::InitProducerId => r.write(&produce::init_producer_id(shared, &r.read()?)),
        ApiKey::JoinGroup => {
            let client = r.header.client_id.clone().map(|c| c.to_string()).unwrap_or_default();
            let answer = groups::join(shared, version, r.read()?, client, peer).await;
            r.write(&answer)
        }
        ApiKey::SyncGroup => {
            let answer = groups::sync(shared, version, r.read()?).await;
            r.write(&answer)
        }
        ApiKey::Heartbeat => r.write(&groups::heartbeat(shared, &r.read()?)),
        ApiKey::LeaveGroup => r.write(&groups::leave(shared, version, &r.read()?)),
        ApiKey::OffsetCommit => r.write(&groups::commit(shared, &r.read()?)),
        ApiKey::OffsetFetch => r.write(&groups::fetch_offsets(shared, version, &r.read()?)),
        ApiKey::DescribeGroups => r.write(&groups::describe(shared, &r.read()?)),
        ApiKey::ListGroups => r.write(&groups::list(shared, &r.read()?)),
        ApiKey::DeleteGroups => r.write(&groups::delete(shared, &r.read()?)),
        ApiKey::CreateTopics => {
            let answer = admin::create_topics(shared, version, r.read()?).await;
            r.write(&answer)
        }
        ApiKey::DeleteTopics => {
            let answer = admin::delete_topics(shared, version, r.read()?).await;
            r.write(&answer)
        }
        ApiKey::CreatePartitions => {
            let answer = admin::create_partitions(shared, r.read()?).await;
            r.write(&answer)
        }
        ApiKey::DescribeConfigs => r.write(&configs::describe(shared, &r.read()?)),
        ApiKey::IncrementalAlterConfigs => {
            let answer = configs::alter_some(shared, r.read()?).await;
            r.write(&answer)
        }
        ApiKey::AlterConfigs => {
            let answer = configs::alter_all(shared, r.read()?).await;
            r.write(&answer)
        }
        other => Err(Refused::Version { key: other as i16, version }),
    }
}
