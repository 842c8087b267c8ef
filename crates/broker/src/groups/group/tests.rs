//! A group without clock and network: every rule of the rebalance, one at a time.

use super::*;

const SESSION: Duration = Duration::from_secs(10);
const ROUND: Duration = Duration::from_secs(60);
const DELAY: Duration = Duration::from_millis(100);

type Answer<T> = oneshot::Receiver<T>;

struct Scene {
    group: Group,
    now: Instant,
    ids: u32,
}

impl Scene {
    fn new() -> Self {
        Self { group: Group::new(DELAY), now: Instant::now(), ids: 0 }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.tick(self.now);
    }

    fn join(&mut self, member_id: &str, protocols: &[&str]) -> Answer<JoinAnswer> {
        self.join_as(member_id, None, protocols)
    }

    fn join_as(&mut self, member_id: &str, instance: Option<&str>, protocols: &[&str]) -> Answer<JoinAnswer> {
        let (reply, answer) = oneshot::channel();
        self.ids += 1;
        let id = format!("m{}", self.ids);
        let request = Join {
            member_id: member_id.into(),
            instance_id: instance.map(Into::into),
            client_id: "c".into(),
            client_host: "/h".into(),
            session_timeout: SESSION,
            rebalance_timeout: ROUND,
            protocol_type: "consumer".into(),
            protocols: protocols.iter().map(|p| ((*p).into(), Bytes::from_static(b"meta"))).collect(),
            knows_member_id_required: false,
        };
        self.group.join(request, || id, self.now, reply);
        answer
    }

    fn sync(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Answer<SyncAnswer> {
        let (reply, answer) = oneshot::channel();
        let list = assignments.iter().map(|(id, a)| ((*id).into(), Bytes::from_static(a.as_bytes()))).collect();
        self.group.sync(&who(member_id, generation), None, list, self.now, reply);
        answer
    }

    /// Two members, stable, in generation 1; the leader first.
    fn pair() -> (Self, String, String) {
        let mut scene = Self::new();
        let mut one = scene.join("", &["range"]);
        let mut two = scene.join("", &["range"]);
        scene.pass(DELAY);
        let (one, two) = (one.try_recv().unwrap().unwrap(), two.try_recv().unwrap().unwrap());
        let (leader, follower) = (one.member_id, two.member_id);
        assert_eq!((one.leader.as_str(), one.generation, one.members.len()), (leader.as_str(), 1, 2));
        assert!(two.members.is_empty());
        let mut waits = scene.sync(&follower, 1, &[]);
        assert!(waits.try_recv().is_err());
        let mut leads = scene.sync(&leader, 1, &[(&leader, "a"), (&follower, "b")]);
        assert_eq!(leads.try_recv().unwrap().unwrap().assignment, "a");
        assert_eq!(waits.try_recv().unwrap().unwrap().assignment, "b");
        assert_eq!(scene.group.phase, Phase::Stable);
        (scene, leader, follower)
    }
}

fn who(member_id: &str, generation: i32) -> Who {
    Who { member_id: member_id.into(), instance_id: None, generation }
}

#[test]
fn members_who_start_together_share_the_first_generation() {
    Scene::pair();
}

#[test]
fn a_new_member_makes_the_others_come_back_and_a_follower_that_changed_nothing_does_not() {
    let (mut scene, leader, follower) = Scene::pair();
    let mut again = scene.join(&follower, &["range"]);
    assert_eq!(again.try_recv().unwrap().unwrap().generation, 1);

    let mut third = scene.join("", &["range"]);
    assert!(third.try_recv().is_err());
    let busy = scene.group.heartbeat(&who(&leader, 1), scene.now);
    assert_eq!(busy, Err(ResponseError::RebalanceInProgress));
    let mut one = scene.join(&leader, &["range"]);
    let mut two = scene.join(&follower, &["range"]);
    for answer in [&mut one, &mut two, &mut third] {
        assert_eq!(answer.try_recv().unwrap().unwrap().generation, 2);
    }
    assert_eq!(scene.group.heartbeat(&who(&leader, 1), scene.now), Err(ResponseError::IllegalGeneration));
    assert_eq!(scene.group.may_commit(&who(&leader, 2), scene.now), Err(ResponseError::RebalanceInProgress));
}

#[test]
fn a_member_without_a_sign_of_life_is_out_after_its_session() {
    let (mut scene, leader, follower) = Scene::pair();
    scene.pass(SESSION / 2);
    scene.group.heartbeat(&who(&leader, 1), scene.now).unwrap();
    scene.pass(SESSION / 2);
    assert_eq!(scene.group.phase, Phase::Joining);
    let mut one = scene.join(&leader, &["range"]);
    let joined = one.try_recv().unwrap().unwrap();
    assert_eq!((joined.generation, joined.members.len()), (2, 1));
    assert_eq!(scene.group.heartbeat(&who(&follower, 1), scene.now), Err(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_that_does_not_come_back_in_time_is_left_behind() {
    let (mut scene, leader, follower) = Scene::pair();
    let mut third = scene.join("", &["range"]);
    let mut two = scene.join(&follower, &["range"]);
    for _ in 0..7 {
        scene.pass(SESSION - Duration::from_millis(1));
        let _alive = scene.group.heartbeat(&who(&leader, 1), scene.now);
    }
    assert_eq!(two.try_recv().unwrap().unwrap().generation, 2);
    assert_eq!(third.try_recv().unwrap().unwrap().generation, 2);
    assert!(!scene.group.members.contains_key(&leader));
}

#[test]
fn a_leader_that_sends_no_assignment_is_left_behind() {
    let mut scene = Scene::new();
    let (_one, _two) = (scene.join("", &["range"]), scene.join("", &["range"]));
    scene.pass(DELAY);
    let mut waits = scene.sync("m2", 1, &[]);
    for _ in 0..7 {
        scene.pass(SESSION - Duration::from_millis(1));
        let _alive = scene.group.heartbeat(&who("m1", 1), scene.now);
    }
    assert_eq!(waits.try_recv().unwrap(), Err(ResponseError::RebalanceInProgress));
    assert!(!scene.group.members.contains_key("m1"));
}

#[test]
fn a_member_that_leaves_is_gone_at_once_and_the_last_one_leaves_an_empty_group() {
    let (mut scene, leader, follower) = Scene::pair();
    scene.group.leave(&follower, None, scene.now).unwrap();
    assert_eq!(scene.group.phase, Phase::Joining);
    scene.group.leave(&leader, None, scene.now).unwrap();
    assert_eq!(scene.group.phase, Phase::Empty);
    assert_eq!(scene.group.leave(&leader, None, scene.now), Err(ResponseError::UnknownMemberId));
    scene.group.may_commit(&who("", -1), scene.now).unwrap();
}

#[test]
fn a_group_works_by_a_protocol_that_all_members_have() {
    let mut scene = Scene::new();
    let mut one = scene.join("", &["sticky", "range"]);
    let mut two = scene.join("", &["range"]);
    let mut odd = scene.join("", &["other"]);
    assert_eq!(odd.try_recv().unwrap().unwrap_err().error, ResponseError::InconsistentGroupProtocol);
    scene.pass(DELAY);
    assert_eq!(one.try_recv().unwrap().unwrap().protocol, "range");
    assert_eq!(two.try_recv().unwrap().unwrap().protocol, "range");
}

#[test]
fn a_static_member_that_comes_back_shuts_out_its_predecessor() {
    let mut scene = Scene::new();
    let mut one = scene.join_as("", Some("i"), &["range"]);
    scene.pass(DELAY);
    let old = one.try_recv().unwrap().unwrap().member_id;
    let mut two = scene.join_as("", Some("i"), &["range"]);
    assert_eq!(two.try_recv().unwrap().unwrap().generation, 2);
    let ghost = Who { member_id: old, instance_id: Some("i".into()), generation: 1 };
    assert_eq!(scene.group.heartbeat(&ghost, scene.now), Err(ResponseError::FencedInstanceId));
    assert_eq!(scene.group.members.len(), 1);
    scene.group.leave("", Some("i"), scene.now).unwrap();
    assert!(scene.group.members.is_empty());
}

#[test]
fn nobody_commits_from_outside_while_members_are_there() {
    let (mut scene, leader, _) = Scene::pair();
    assert_eq!(scene.group.may_commit(&who("", -1), scene.now), Err(ResponseError::UnknownMemberId));
    assert_eq!(scene.group.may_commit(&who(&leader, 0), scene.now), Err(ResponseError::IllegalGeneration));
    scene.group.may_commit(&who(&leader, 1), scene.now).unwrap();
}
