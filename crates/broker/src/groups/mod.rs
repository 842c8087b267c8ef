//! Consumer groups and their offsets: the shell around the pure [`group::Group`].
//!
//! Memberships live in memory: after a restart members join again. Committed offsets are durable.

pub(crate) mod group;
pub(crate) mod offsets;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::error::BrokerError;
use crate::locked;
use crate::recovered::Recovered;
use group::{Group, Join, JoinAnswer, JoinRefused, Phase, SyncAnswer, Who};
use offsets::{Committed, Offsets};

/// How often sessions and rounds are looked at.
const TICK: Duration = Duration::from_millis(25);

/// A group as DescribeGroups and ListGroups tell it.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) phase: Phase,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) members: Vec<DescribedMember>,
}

/// A member of a described group.
#[derive(Debug, Clone)]
pub(crate) struct DescribedMember {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

/// All groups of the broker.
#[derive(Debug)]
pub(crate) struct Groups {
    live: Mutex<BTreeMap<String, Group>>,
    offsets: Mutex<Offsets>,
    initial_delay: Duration,
}

impl Groups {
    /// Reads the committed offsets.
    pub(crate) fn open(dir: &Path, initial_delay: Duration, recovered: &mut Recovered) -> Result<Self, BrokerError> {
        let offsets = Mutex::new(Offsets::open(dir, recovered)?);
        Ok(Self { live: Mutex::default(), offsets, initial_delay })
    }

    /// Joins, and waits until the round is over.
    pub(crate) async fn join(&self, group: &str, request: Join) -> JoinAnswer {
        let (reply, answer) = oneshot::channel();
        let member_id = request.member_id.clone();
        {
            let mut live = locked(&self.live);
            let group = live.entry(group.into()).or_insert_with(|| Group::new(self.initial_delay));
            let new_id = {
                let client = if request.client_id.is_empty() { "member" } else { request.client_id.as_str() };
                format!("{client}-{}-{}", group.next_number(), Uuid::new_v4())
            };
            group.join(request, || new_id, Instant::now(), reply);
        }
        // The slot is dropped unanswered when the same member has joined again meanwhile.
        let gone = JoinRefused { error: ResponseError::RebalanceInProgress, member_id };
        answer.await.unwrap_or(Err(gone))
    }

    /// Hands in the assignment, or waits for it.
    pub(crate) async fn sync(
        &self,
        group: &str,
        who: &Who,
        protocol: Option<(&str, &str)>,
        assignments: Vec<(String, Bytes)>,
    ) -> SyncAnswer {
        let (reply, answer) = oneshot::channel();
        match locked(&self.live).get_mut(group) {
            Some(group) => group.sync(who, protocol, assignments, Instant::now(), reply),
            None => return Err(ResponseError::UnknownMemberId),
        }
        answer.await.unwrap_or(Err(ResponseError::RebalanceInProgress))
    }

    /// A sign of life.
    pub(crate) fn heartbeat(&self, group: &str, who: &Who) -> Result<(), ResponseError> {
        let mut live = locked(&self.live);
        live.get_mut(group).ok_or(ResponseError::UnknownMemberId)?.heartbeat(who, Instant::now())
    }

    /// A member goes.
    pub(crate) fn leave(&self, group: &str, member_id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        let mut live = locked(&self.live);
        live.get_mut(group).ok_or(ResponseError::UnknownMemberId)?.leave(member_id, instance_id, Instant::now())
    }

    /// Says whether this member may commit now.
    pub(crate) fn may_commit(&self, group: &str, who: &Who) -> Result<(), ResponseError> {
        match locked(&self.live).get_mut(group) {
            Some(group) => group.may_commit(who, Instant::now()),
            None if who.generation < 0 => Ok(()),
            None => Err(ResponseError::UnknownMemberId),
        }
    }

    /// Commits positions durably.
    pub(crate) fn commit(&self, group: &str, positions: Vec<(String, i32, Committed)>) -> io::Result<()> {
        locked(&self.offsets).commit(group, positions)
    }

    /// A group's position.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<Committed> {
        locked(&self.offsets).get(group, topic, partition).cloned()
    }

    /// All positions of a group: topic, partition, position; sorted.
    pub(crate) fn all_committed(&self, group: &str) -> Vec<(String, i32, Committed)> {
        locked(&self.offsets).of_group(group).map(|((_, t, p), c)| (t.clone(), *p, c.clone())).collect()
    }

    /// A group, if it has members or positions.
    pub(crate) fn describe(&self, name: &str) -> Option<Described> {
        if let Some(group) = locked(&self.live).get(name) {
            let member = |(id, m): (&String, &group::Member)| DescribedMember {
                member_id: id.clone(),
                instance_id: m.instance_id.clone(),
                client_id: m.client_id.clone(),
                client_host: m.client_host.clone(),
                metadata: m.metadata(&group.protocol),
                assignment: m.assignment.clone(),
            };
            return Some(Described {
                phase: group.phase,
                protocol_type: group.protocol_type.clone(),
                protocol: group.protocol.clone(),
                members: group.members.iter().map(member).collect(),
            });
        }
        let has_positions = locked(&self.offsets).of_group(name).next().is_some();
        has_positions.then(|| Described {
            phase: Phase::Empty,
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
        })
    }

    /// Names of all groups.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = locked(&self.offsets).groups();
        names.extend(locked(&self.live).keys().cloned());
        names.sort();
        names.dedup();
        names
    }

    /// Deletes an empty group and its positions.
    pub(crate) fn delete(&self, name: &str) -> Result<(), ResponseError> {
        let described = self.describe(name).ok_or(ResponseError::GroupIdNotFound)?;
        if !described.members.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        locked(&self.live).remove(name);
        locked(&self.offsets).forget_group(name).map_err(|error| {
            tracing::error!(%error, group = name, "could not forget a group's offsets");
            ResponseError::KafkaStorageError
        })
    }

    /// Forgets the positions in a deleted topic.
    pub(crate) fn forget_topic(&self, topic: &str) -> io::Result<()> {
        locked(&self.offsets).forget_topic(topic)
    }

    /// Watches sessions and rounds; runs until dropped.
    pub(crate) async fn watch(&self) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let now = Instant::now();
            let mut live = locked(&self.live);
            for group in live.values_mut() {
                group.tick(now);
            }
            live.retain(|_, group| !(group.is_idle() && group.phase == Phase::Empty && group.generation == 0));
        }
    }

    /// A handle to flush the offsets outside the lock.
    pub(crate) fn handle(&self) -> io::Result<std::fs::File> {
        locked(&self.offsets).handle()
    }
}
