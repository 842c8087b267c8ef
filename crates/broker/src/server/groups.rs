//! Consumer groups on the wire: joining, syncing, offsets, descriptions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse, delete_groups_response::DeletableGroupResult,
};
use kafka_protocol::protocol::StrBytes;

use super::{code, text, topic_name};
use crate::broker::Shared;
use crate::groups::group::{Join, JoinRefused, Who};
use crate::groups::offsets::Committed;

/// Kafka's `offset.metadata.max.bytes`.
const LARGEST_METADATA: usize = 4096;
/// Longest session, as in Kafka.
const LONGEST_SESSION: Duration = Duration::from_secs(1800);
/// From this version on a client understands MEMBER_ID_REQUIRED (KIP-394).
const KNOWS_MEMBER_ID_REQUIRED: i16 = 4;

fn millis(ms: i32) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs().into())
}

fn who(member: &StrBytes, instance: Option<&StrBytes>, generation: i32) -> Who {
    Who { member_id: member.to_string(), instance_id: instance.map(ToString::to_string), generation }
}

fn join_failed(refused: &JoinRefused) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(refused.error.code())
        .with_generation_id(-1)
        .with_protocol_name(Some(StrBytes::new()))
        .with_member_id(text(refused.member_id.clone()))
}

/// Joins a group; waits for the other members.
pub(super) async fn join(
    shared: &Arc<Shared>,
    version: i16,
    request: JoinGroupRequest,
    client_id: String,
    peer: SocketAddr,
) -> JoinGroupResponse {
    let session_timeout = millis(request.session_timeout_ms);
    let refused = |error| join_failed(&JoinRefused { error, member_id: request.member_id.to_string() });
    if request.group_id.is_empty() {
        return refused(ResponseError::InvalidGroupId);
    }
    if session_timeout.is_zero() || session_timeout > LONGEST_SESSION {
        return refused(ResponseError::InvalidSessionTimeout);
    }
    let join = Join {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        client_id,
        client_host: format!("/{}", peer.ip()),
        session_timeout,
        // Version 0 has no timeout of its own for the round.
        rebalance_timeout: if version >= 1 { millis(request.rebalance_timeout_ms) } else { session_timeout },
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.iter().map(|p| (p.name.to_string(), p.metadata.clone())).collect(),
        knows_member_id_required: version >= KNOWS_MEMBER_ID_REQUIRED,
    };
    let joined = tokio::select! {
        joined = shared.groups.join(&request.group_id, join) => joined,
        () = shared.stop.cancelled() => return refused(ResponseError::CoordinatorNotAvailable),
    };
    match joined {
        Err(refused) => join_failed(&refused),
        Ok(joined) => {
            let member = |(id, instance, metadata): (String, Option<String>, bytes::Bytes)| {
                JoinGroupResponseMember::default()
                    .with_member_id(text(id))
                    .with_group_instance_id(instance.map(text))
                    .with_metadata(metadata)
            };
            JoinGroupResponse::default()
                .with_generation_id(joined.generation)
                .with_protocol_type(Some(text(joined.protocol_type)))
                .with_protocol_name(Some(text(joined.protocol)))
                .with_leader(text(joined.leader))
                .with_member_id(text(joined.member_id))
                .with_members(joined.members.into_iter().map(member).collect())
        }
    }
}

/// Hands in or fetches the assignment.
pub(super) async fn sync(shared: &Arc<Shared>, version: i16, request: SyncGroupRequest) -> SyncGroupResponse {
    let who = who(&request.member_id, request.group_instance_id.as_ref(), request.generation_id);
    let protocol = match (&request.protocol_type, &request.protocol_name) {
        (Some(kind), Some(name)) if version >= 5 => Some((kind.as_str(), name.as_str())),
        _ => None,
    };
    let assignments = request.assignments.iter().map(|a| (a.member_id.to_string(), a.assignment.clone())).collect();
    let synced = tokio::select! {
        synced = shared.groups.sync(&request.group_id, &who, protocol, assignments) => synced,
        () = shared.stop.cancelled() => Err(ResponseError::CoordinatorNotAvailable),
    };
    match synced {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(Some(text(synced.protocol_type)))
            .with_protocol_name(Some(text(synced.protocol)))
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}

/// A sign of life.
pub(super) fn heartbeat(shared: &Shared, request: &HeartbeatRequest) -> HeartbeatResponse {
    let who = who(&request.member_id, request.group_instance_id.as_ref(), request.generation_id);
    HeartbeatResponse::default().with_error_code(code(shared.groups.heartbeat(&request.group_id, &who)))
}

/// Members go.
pub(super) fn leave(shared: &Shared, version: i16, request: &LeaveGroupRequest) -> LeaveGroupResponse {
    if version < 3 {
        let left = shared.groups.leave(&request.group_id, &request.member_id, None);
        return LeaveGroupResponse::default().with_error_code(code(left));
    }
    let members = request.members.iter().map(|m| {
        let instance = m.group_instance_id.as_deref();
        let left = shared.groups.leave(&request.group_id, &m.member_id, instance);
        MemberResponse::default()
            .with_member_id(m.member_id.clone())
            .with_group_instance_id(m.group_instance_id.clone())
            .with_error_code(code(left))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

/// Commits offsets.
pub(super) fn commit(shared: &Shared, request: &OffsetCommitRequest) -> OffsetCommitResponse {
    let generation = request.generation_id_or_member_epoch;
    let who = who(&request.member_id, request.group_instance_id.as_ref(), generation);
    let allowed = shared.groups.may_commit(&request.group_id, &who);
    let mut positions = Vec::new();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let known = shared.topics.get(&topic.name);
        let mut partitions = Vec::new();
        for p in &topic.partitions {
            let metadata = p.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default();
            let outcome = match &known {
                _ if allowed.is_err() => allowed,
                Some(t) if t.partition(p.partition_index).is_some() => {
                    if metadata.len() > LARGEST_METADATA {
                        Err(ResponseError::OffsetMetadataTooLarge)
                    } else {
                        Ok(())
                    }
                }
                _ => Err(ResponseError::UnknownTopicOrPartition),
            };
            if outcome.is_ok() {
                let position =
                    Committed { offset: p.committed_offset, leader_epoch: p.committed_leader_epoch, metadata };
                positions.push((topic.name.to_string(), p.partition_index, position));
            }
            partitions.push((p.partition_index, outcome));
        }
        topics.push((topic.name.clone(), partitions));
    }
    let written = if positions.is_empty() { Ok(()) } else { shared.groups.commit(&request.group_id, positions) };
    let written = written.map_err(|error| {
        tracing::error!(%error, group = %request.group_id.0, "could not write committed offsets");
        ResponseError::KafkaStorageError
    });
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, outcome)| {
            let outcome = outcome.and(written);
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code(outcome))
        });
        OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// Positions by topic.
type Positions = Vec<(String, Vec<(i32, Option<Committed>)>)>;

fn positions(shared: &Shared, group: &str, asked: Option<Vec<(String, Vec<i32>)>>) -> Positions {
    let Some(asked) = asked else {
        let mut all: Positions = Vec::new();
        for (topic, partition, committed) in shared.groups.all_committed(group) {
            match all.last_mut() {
                Some((name, partitions)) if *name == topic => partitions.push((partition, Some(committed))),
                _ => all.push((topic, vec![(partition, Some(committed))])),
            }
        }
        return all;
    };
    let find = |(topic, partitions): (String, Vec<i32>)| {
        let found = partitions.iter().map(|p| (*p, shared.groups.committed(group, &topic, *p))).collect();
        (topic, found)
    };
    asked.into_iter().map(find).collect()
}

/// Tells committed offsets; -1 where there is none.
pub(super) fn fetch_offsets(shared: &Shared, version: i16, request: &OffsetFetchRequest) -> OffsetFetchResponse {
    if version >= 8 {
        let groups = request.groups.iter().map(|g| {
            let asked = g
                .topics
                .as_ref()
                .map(|topics| topics.iter().map(|t| (t.name.to_string(), t.partition_indexes.clone())).collect());
            let topics = positions(shared, &g.group_id, asked).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|(index, found)| {
                    let found = found.unwrap_or(NONE);
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_committed_offset(found.offset)
                        .with_committed_leader_epoch(found.leader_epoch)
                        .with_metadata(Some(text(found.metadata)))
                });
                OffsetFetchResponseTopics::default().with_name(topic_name(&name)).with_partitions(partitions.collect())
            });
            OffsetFetchResponseGroup::default().with_group_id(g.group_id.clone()).with_topics(topics.collect())
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let asked = request
        .topics
        .as_ref()
        .map(|topics| topics.iter().map(|t| (t.name.to_string(), t.partition_indexes.clone())).collect());
    let topics = positions(shared, &request.group_id, asked).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, found)| {
            let found = found.unwrap_or(NONE);
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(found.offset)
                .with_committed_leader_epoch(found.leader_epoch)
                .with_metadata(Some(text(found.metadata)))
        });
        OffsetFetchResponseTopic::default().with_name(topic_name(&name)).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

const NONE: Committed = Committed { offset: -1, leader_epoch: -1, metadata: String::new() };

/// Describes groups; one that does not exist is "Dead", as in Kafka.
pub(super) fn describe(shared: &Shared, request: &DescribeGroupsRequest) -> DescribeGroupsResponse {
    let groups = request.groups.iter().map(|id| {
        let answer = DescribedGroup::default().with_group_id(id.clone());
        let Some(group) = shared.groups.describe(id) else { return answer.with_group_state(text("Dead")) };
        let members = group.members.into_iter().map(|m| {
            DescribedGroupMember::default()
                .with_member_id(text(m.member_id))
                .with_group_instance_id(m.instance_id.map(text))
                .with_client_id(text(m.client_id))
                .with_client_host(text(m.client_host))
                .with_member_metadata(m.metadata)
                .with_member_assignment(m.assignment)
        });
        answer
            .with_group_state(text(group.phase.name()))
            .with_protocol_type(text(group.protocol_type))
            .with_protocol_data(text(group.protocol))
            .with_members(members.collect())
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

/// Lists groups, those in the states and of the types asked for.
pub(super) fn list(shared: &Shared, request: &ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |list: &[StrBytes], value: &str| list.is_empty() || list.iter().any(|v| v.eq_ignore_ascii_case(value));
    let groups = shared.groups.names().into_iter().filter_map(|name| {
        let group = shared.groups.describe(&name)?;
        let state = group.phase.name();
        (wanted(&request.states_filter, state) && wanted(&request.types_filter, "classic")).then(|| {
            ListedGroup::default()
                .with_group_id(GroupId(text(name)))
                .with_protocol_type(text(group.protocol_type))
                .with_group_state(text(state))
                .with_group_type(text("classic"))
        })
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

/// Deletes empty groups.
pub(super) fn delete(shared: &Shared, request: &DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.iter().map(|id| {
        DeletableGroupResult::default().with_group_id(id.clone()).with_error_code(code(shared.groups.delete(id)))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
