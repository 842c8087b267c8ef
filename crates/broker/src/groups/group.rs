//! One consumer group: who is in it, and how it comes to a new assignment (the classic protocol, KIP-62 and 394).
//!
//! No clock and no network: time is handed in, answers go into reply slots. Order of a rebalance:
//! members join (state `Joining`), all get the new generation (`Syncing`), the leader sends the
//! assignment, all get theirs (`Stable`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;

/// What a member is told when its join is over.
pub(crate) type JoinAnswer = Result<Joined, JoinRefused>;
/// What a member is told when the assignment is there.
pub(crate) type SyncAnswer = Result<Synced, ResponseError>;

/// A join that failed; a first join is told the id to come back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinRefused {
    pub(crate) error: ResponseError,
    pub(crate) member_id: String,
}

/// A generation as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// Member id, instance id, metadata: for the leader only.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// A member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) assignment: Bytes,
}

/// A request to join.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    /// Empty at the first time.
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    /// Name and metadata, most wanted first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether the client understands "come back with this id".
    pub(crate) knows_member_id_required: bool,
}

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    Joining,
    Syncing,
    Stable,
}

impl Phase {
    /// Kafka's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Joining => "PreparingRebalance",
            Self::Syncing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A member of a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    deadline: Instant,
    join: Option<oneshot::Sender<JoinAnswer>>,
    sync: Option<oneshot::Sender<SyncAnswer>>,
}

impl Member {
    fn answer_join(&mut self, answer: JoinAnswer) {
        if let Some(reply) = self.join.take() {
            drop(reply.send(answer));
        }
    }

    fn answer_sync(&mut self, answer: SyncAnswer) {
        if let Some(reply) = self.sync.take() {
            drop(reply.send(answer));
        }
    }

    /// What the member sent for a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| name == protocol).map(|(_, m)| m.clone()).unwrap_or_default()
    }
}

/// A consumer group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) phase: Phase,
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    leader: String,
    pub(crate) members: BTreeMap<String, Member>,
    /// Ids given out to clients that have not come back with them yet.
    awaited: BTreeMap<String, Instant>,
    /// End of the phase `Joining` or `Syncing`.
    deadline: Option<Instant>,
    /// While the group was empty before: not before this time, so that members who start together join together.
    not_before: Option<Instant>,
    initial_delay: Duration,
    made: u64,
}

impl Group {
    /// A group without members.
    pub(crate) fn new(initial_delay: Duration) -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            awaited: BTreeMap::new(),
            deadline: None,
            not_before: None,
            initial_delay,
            made: 0,
        }
    }

    /// Takes a join; the answer comes at once, or when the rebalance is over.
    pub(crate) fn join(
        &mut self,
        request: Join,
        new_id: impl FnOnce() -> String,
        now: Instant,
        reply: oneshot::Sender<JoinAnswer>,
    ) {
        if let Err(error) = self.check_join(&request) {
            let refused = JoinRefused { error, member_id: request.member_id };
            drop(reply.send(Err(refused)));
            return;
        }
        let mut request = request;
        if request.member_id.is_empty() {
            request.member_id = new_id();
            if request.instance_id.is_none() && request.knows_member_id_required {
                self.awaited.insert(request.member_id.clone(), now + request.session_timeout);
                let error = ResponseError::MemberIdRequired;
                drop(reply.send(Err(JoinRefused { error, member_id: request.member_id })));
                return;
            }
            self.replace_static(&request);
        }
        self.awaited.remove(&request.member_id);
        if self.members.contains_key(&request.member_id) {
            self.rejoin(request, now, reply);
        } else {
            self.add(request, now, reply);
        }
        self.settle(now);
    }

    fn check_join(&self, request: &Join) -> Result<(), ResponseError> {
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if !self.members.is_empty() {
            let common = self.common_protocols(&request.member_id);
            let shares =
                request.protocols.iter().any(|(name, _)| common.as_ref().is_none_or(|c| c.contains(name.as_str())));
            if request.protocol_type != self.protocol_type || !shares {
                return Err(ResponseError::InconsistentGroupProtocol);
            }
        }
        if request.member_id.is_empty() {
            return Ok(());
        }
        self.check_member(&request.member_id, request.instance_id.as_deref())
            .or_else(|error| if self.awaited.contains_key(&request.member_id) { Ok(()) } else { Err(error) })
    }

    /// Protocols that every member but this one offers; none when there is no other.
    fn common_protocols(&self, but: &str) -> Option<BTreeSet<&str>> {
        let mut sets = self
            .members
            .iter()
            .filter(|(id, _)| *id != but)
            .map(|(_, m)| m.protocols.iter().map(|(n, _)| n.as_str()).collect::<BTreeSet<_>>());
        let first = sets.next()?;
        Some(sets.fold(first, |all, one| all.intersection(&one).copied().collect()))
    }

    /// Says whether this member may speak for itself.
    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance) = instance_id {
            let holder = self.members.iter().find(|(_, m)| m.instance_id.as_deref() == Some(instance));
            return match holder {
                Some((id, _)) if id == member_id => Ok(()),
                Some(_) => Err(ResponseError::FencedInstanceId),
                None => Err(ResponseError::UnknownMemberId),
            };
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// A static member that comes back without its id takes its predecessor's place.
    fn replace_static(&mut self, request: &Join) {
        let Some(instance) = &request.instance_id else { return };
        let old = self.members.iter().find(|(_, m)| m.instance_id.as_ref() == Some(instance)).map(|(id, _)| id.clone());
        if let Some((id, mut gone)) = old.and_then(|id| self.members.remove_entry(&id)) {
            let error = ResponseError::FencedInstanceId;
            gone.answer_join(Err(JoinRefused { error, member_id: id }));
            gone.answer_sync(Err(error));
        }
    }

    fn add(&mut self, request: Join, now: Instant, reply: oneshot::Sender<JoinAnswer>) {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&request.protocol_type);
        }
        let was_empty = self.phase == Phase::Empty;
        let member = Member {
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols,
            assignment: Bytes::new(),
            deadline: now + request.session_timeout,
            join: Some(reply),
            sync: None,
        };
        self.members.insert(request.member_id, member);
        if was_empty {
            self.not_before = Some(now + self.initial_delay);
        }
        self.rebalance(now);
    }

    fn rejoin(&mut self, request: Join, now: Instant, reply: oneshot::Sender<JoinAnswer>) {
        let is_leader = request.member_id == self.leader;
        let Some(member) = self.members.get_mut(&request.member_id) else { return };
        let changed = member.protocols != request.protocols;
        member.protocols = request.protocols;
        member.session_timeout = request.session_timeout;
        member.rebalance_timeout = request.rebalance_timeout;
        member.deadline = now + request.session_timeout;
        member.join = Some(reply);
        let anew = match self.phase {
            Phase::Empty | Phase::Joining => true,
            Phase::Syncing => changed,
            Phase::Stable => changed || is_leader,
        };
        if anew {
            self.rebalance(now);
        } else {
            let answer = self.joined(&request.member_id);
            if let Some(member) = self.members.get_mut(&request.member_id) {
                member.answer_join(Ok(answer));
            }
        }
    }

    /// Starts a new round, unless one is running.
    fn rebalance(&mut self, now: Instant) {
        if self.phase == Phase::Joining {
            return;
        }
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            member.answer_sync(Err(ResponseError::RebalanceInProgress));
        }
        self.phase = Phase::Joining;
        self.deadline = Some(now + self.longest_rebalance());
    }

    fn longest_rebalance(&self) -> Duration {
        self.members.values().map(|m| m.rebalance_timeout).max().unwrap_or_default()
    }

    /// Ends the round of joining when it is time.
    fn settle(&mut self, now: Instant) {
        if self.phase != Phase::Joining {
            return;
        }
        let late = self.deadline.is_some_and(|d| now >= d);
        let early = self.not_before.is_some_and(|t| now < t);
        let complete = self.awaited.is_empty() && self.members.values().all(|m| m.join.is_some());
        if self.members.is_empty() {
            self.become_empty();
        } else if late || (complete && !early) {
            self.begin_generation(now);
        }
    }

    fn become_empty(&mut self) {
        self.generation += 1;
        self.phase = Phase::Empty;
        self.protocol.clear();
        self.leader.clear();
        self.deadline = None;
        self.not_before = None;
    }

    fn begin_generation(&mut self, now: Instant) {
        // Who has not come back is out; a static member stays until its session ends.
        self.members.retain(|_, m| m.join.is_some() || m.instance_id.is_some());
        self.not_before = None;
        let Some(first) = self.members.iter().find(|(_, m)| m.join.is_some()).map(|(id, _)| id.clone()) else {
            if self.members.is_empty() {
                self.become_empty();
            } else {
                self.deadline = Some(now + self.longest_rebalance());
            }
            return;
        };
        self.generation += 1;
        self.protocol = self.elect_protocol();
        if self.members.get(&self.leader).is_none_or(|m| m.join.is_none()) {
            self.leader = first;
        }
        self.phase = Phase::Syncing;
        self.deadline = Some(now + self.longest_rebalance());
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.deadline = now + member.session_timeout;
                member.answer_join(Ok(answer));
            }
        }
    }

    /// The protocol that most members want most, among those that all have.
    fn elect_protocol(&self) -> String {
        let common = self.common_protocols("").unwrap_or_default();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().map(|(n, _)| n.as_str()).find(|n| common.contains(n));
            if let Some(name) = vote {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, n)| *n).map(|(name, _)| name.to_owned()).unwrap_or_default()
    }

    fn joined(&self, member_id: &str) -> Joined {
        let entry = |(id, m): (&String, &Member)| (id.clone(), m.instance_id.clone(), m.metadata(&self.protocol));
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: member_id.into(),
            members: if member_id == self.leader { self.members.iter().map(entry).collect() } else { Vec::new() },
        }
    }

    /// Takes a sync; the answer comes when the leader has sent the assignment.
    pub(crate) fn sync(
        &mut self,
        who: &Who,
        protocol: Option<(&str, &str)>,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
        reply: oneshot::Sender<SyncAnswer>,
    ) {
        if let Err(error) = self.check_sync(who, protocol) {
            drop(reply.send(Err(error)));
            return;
        }
        let is_leader = who.member_id == self.leader;
        let Some(member) = self.members.get_mut(&who.member_id) else { return };
        member.deadline = now + member.session_timeout;
        member.sync = Some(reply);
        if self.phase == Phase::Syncing && is_leader {
            for (id, assignment) in assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            self.phase = Phase::Stable;
            self.deadline = None;
        }
        if self.phase == Phase::Stable {
            let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
            for member in self.members.values_mut() {
                let assignment = member.assignment.clone();
                let synced = Synced { protocol_type: protocol_type.clone(), protocol: protocol.clone(), assignment };
                member.answer_sync(Ok(synced));
            }
        }
    }

    fn check_sync(&self, who: &Who, protocol: Option<(&str, &str)>) -> Result<(), ResponseError> {
        self.check_member(&who.member_id, who.instance_id.as_deref())?;
        if who.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if protocol.is_some_and(|(kind, name)| kind != self.protocol_type || name != self.protocol) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty => Err(ResponseError::UnknownMemberId),
            Phase::Joining => Err(ResponseError::RebalanceInProgress),
            Phase::Syncing | Phase::Stable => Ok(()),
        }
    }

    /// A sign of life.
    pub(crate) fn heartbeat(&mut self, who: &Who, now: Instant) -> Result<(), ResponseError> {
        self.check_member(&who.member_id, who.instance_id.as_deref())?;
        if who.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if let Some(member) = self.members.get_mut(&who.member_id) {
            member.deadline = now + member.session_timeout;
        }
        if self.phase == Phase::Joining { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
    }

    /// Says whether offsets may be committed, which is a sign of life too.
    pub(crate) fn may_commit(&mut self, who: &Who, now: Instant) -> Result<(), ResponseError> {
        if who.generation < 0 && who.member_id.is_empty() {
            // A consumer that assigns itself, or a tool: only while nobody else is there.
            return if self.members.is_empty() { Ok(()) } else { Err(ResponseError::UnknownMemberId) };
        }
        self.check_member(&who.member_id, who.instance_id.as_deref())?;
        if who.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if self.phase == Phase::Syncing {
            return Err(ResponseError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(&who.member_id) {
            member.deadline = now + member.session_timeout;
        }
        Ok(())
    }

    /// A member goes; a static one may be named by its instance alone.
    pub(crate) fn leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.awaited.remove(member_id).is_some() {
            self.settle(now);
            return Ok(());
        }
        let id = match instance_id {
            Some(instance) if member_id.is_empty() => {
                let found = self.members.iter().find(|(_, m)| m.instance_id.as_deref() == Some(instance));
                found.map(|(id, _)| id.clone()).ok_or(ResponseError::UnknownMemberId)?
            }
            _ => {
                self.check_member(member_id, instance_id)?;
                member_id.to_owned()
            }
        };
        self.remove(&id, now);
        self.settle(now);
        Ok(())
    }

    fn remove(&mut self, member_id: &str, now: Instant) {
        if let Some(mut gone) = self.members.remove(member_id) {
            let error = ResponseError::UnknownMemberId;
            gone.answer_join(Err(JoinRefused { error, member_id: member_id.into() }));
            gone.answer_sync(Err(error));
            self.rebalance(now);
        }
    }

    /// Ends sessions and rounds whose time is over.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.awaited.retain(|_, deadline| now < *deadline);
        let waits = |m: &Member| {
            m.join.as_ref().is_some_and(|j| !j.is_closed()) || m.sync.as_ref().is_some_and(|s| !s.is_closed())
        };
        let dead: Vec<_> =
            self.members.iter().filter(|(_, m)| now >= m.deadline && !waits(m)).map(|(id, _)| id.clone()).collect();
        for id in dead {
            tracing::info!(member = %id, "session ended without a sign of life");
            self.remove(&id, now);
        }
        if self.phase == Phase::Syncing && self.deadline.is_some_and(|d| now >= d) {
            let silent: Vec<_> =
                self.members.iter().filter(|(_, m)| m.sync.is_none()).map(|(id, _)| id.clone()).collect();
            for id in silent {
                self.remove(&id, now);
            }
        }
        self.settle(now);
    }

    /// True when nothing would be lost by forgetting the group.
    pub(crate) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.awaited.is_empty()
    }

    /// A number for the next member id.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

/// Who speaks, as requests name it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
}

#[cfg(test)]
mod tests;
