//! Dead letters again: what decodes by now lands once, whatever is killed in between.

use std::collections::BTreeMap;

use weir_stream::Header;

use super::*;
use crate::letters::{Chosen, Letter, LetterId, Letters};
use crate::replay::{ORIGIN, Outlet, Replayed, discard, replay};

/// Sends into the topic; `deaf` has the records and says that it does not.
struct Sent {
    topic: Topic,
    origins: Arc<Mutex<Vec<String>>>,
    deaf: bool,
}

impl Outlet for Sent {
    fn send(
        &mut self,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), StreamError> {
        assert_eq!(key, Some(&b"k"[..]));
        assert_eq!(headers[0], ("h", Some(&b"v"[..])), "the record's own headers come first");
        let (name, value_of) = headers[1];
        assert_eq!(name, ORIGIN);
        self.origins.lock().unwrap().push(String::from_utf8(value_of.unwrap().to_vec()).unwrap());
        self.topic.push(partition, value.map(<[u8]>::to_vec));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        if self.deaf { Err(StreamError::UnknownSchema { id: 0.into() }) } else { Ok(()) }
    }
}

fn outlet(topic: &Topic) -> Sent {
    Sent { topic: topic.clone(), origins: Arc::default(), deaf: false }
}

/// Two changes of a schema that is not registered yet, one that is, and bytes that no schema decodes.
async fn with_letters(ground: &Ground) -> (Lake, Topic) {
    let (lake, topic, table) = (lake(ground).await, Topic::new("A"), customer());
    topic.push(0, change(&table, 2, Op::Create, 1, 1, 0));
    topic.push(0, change(&table, 3, Op::Create, 2, 2, 0));
    topic.push(1, change(&table, 3, Op::Create, 3, 3, HOUR));
    topic.push(1, Some(b"no frame".to_vec()));
    let landed = landing(&lake, &topic, 100).await;
    assert_eq!((landed.counts.landed, landed.counts.dead_lettered), (1, 3));
    (lake, topic)
}

async fn letters(lake: &Lake) -> BTreeMap<LetterId, Letter> {
    let mut found = BTreeMap::new();
    let letters = Letters::open(lake, &customer().name).await.unwrap();
    letters.each(|letter| drop(found.insert(letter.id.clone(), letter))).await.unwrap();
    found
}

async fn states(lake: &Lake) -> Vec<(String, &'static str)> {
    let word = |letter: &Letter| letter.mark.as_ref().map_or("open", crate::handled::Mark::word);
    letters(lake).await.iter().map(|(id, letter)| (id.to_string(), word(letter))).collect()
}

/// The schema 3 is registered by now.
async fn again(lake: &Lake, topic: &Topic, chosen: &Chosen) -> Replayed {
    let table = customer();
    let ends = (known(&[(2, &table), (3, &table)]), outlet(topic));
    replay(&table, lake, chosen, "ada", ends).await.unwrap()
}

async fn land_all(lake: &Lake, topic: &Topic) -> Landed {
    let table = customer();
    let source = Source { feed: topic.clone(), schemas: known(&[(2, &table), (3, &table)]) };
    let landed = land(&table, &settings(100), lake, source, Until::CaughtUp).await.unwrap();
    assert!(landed.counts.balance());
    landed
}

fn ids(texts: &[&str]) -> Chosen {
    Chosen::Ids(texts.iter().map(|text| text.parse().unwrap()).collect())
}

async fn a_letter_that_decodes_by_now_lands_once_and_one_that_does_not_stays_open(at: At) {
    let folder = at.fresh();
    let (lake, topic) = with_letters(&folder).await;
    let done = again(&lake, &topic, &Chosen::Open).await;
    assert_eq!(done.sent, [("unknown_schema".to_owned(), 2)].into());
    assert_eq!(done.still, [("wrong_magic".to_owned(), 1)].into());
    let wanted = [("A/0/1", "replayed"), ("A/1/0", "replayed"), ("A/1/1", "open")];
    assert_eq!(states(&lake).await, wanted.map(|(id, state)| (id.to_owned(), state)));

    let landed = land_all(&lake, &topic).await;
    assert_eq!((landed.counts.landed, landed.counts.repeated), (2, 0));
    assert_eq!(offsets(&lake, Zone::Landing).await, [(0, 0), (0, 2), (1, 2)]);
    // Again there is nothing to send, by kind and by name.
    assert_eq!(again(&lake, &topic, &Chosen::Reason("unknown_schema".into())).await, Replayed::default());
    assert_eq!(again(&lake, &topic, &ids(&["A/0/1"])).await, Replayed::default());
}

async fn a_record_that_was_sent_and_not_marked_is_sent_again_and_lands_once(at: At) {
    let folder = at.fresh();
    let (lake, topic) = with_letters(&folder).await;
    let table = customer();
    let deaf = Sent { deaf: true, ..outlet(&topic) };
    let failed = replay(&table, &lake, &Chosen::Open, "ada", (known(&[(3, &table)]), deaf)).await;
    assert!(failed.is_err());
    assert!(states(&lake).await.iter().all(|(_, state)| *state == "open"));

    assert_eq!(again(&lake, &topic, &Chosen::Open).await.sent.values().sum::<u64>(), 2);
    let landed = land_all(&lake, &topic).await;
    assert_eq!((landed.counts.received, landed.counts.landed, landed.counts.repeated), (4, 2, 2));
}

async fn a_record_that_is_sent_again_names_the_letter_that_it_was(at: At) {
    let folder = at.fresh();
    let (lake, topic) = with_letters(&folder).await;
    let (table, sent) = (customer(), outlet(&topic));
    let origins = sent.origins.clone();
    replay(&table, &lake, &ids(&["A/1/0"]), "ada", (known(&[(3, &table)]), sent)).await.unwrap();
    assert_eq!(*origins.lock().unwrap(), ["A/1/0"]);
}

async fn a_discarded_letter_says_who_and_why_and_is_sent_again_only_by_its_name(at: At) {
    let folder = at.fresh();
    let (lake, topic) = with_letters(&folder).await;
    let name = customer().name;
    let of_reason = Chosen::Reason("unknown_schema".into());
    assert_eq!(discard(&name, &lake, &of_reason, "ada", "test data").await.unwrap(), 2);
    assert_eq!(discard(&name, &lake, &of_reason, "bob", "again").await.unwrap(), 0);
    let letter = letters(&lake).await[&"A/0/1".parse().unwrap()].clone();
    let mark = letter.mark.expect("a mark");
    assert_eq!((mark.word(), &*mark.actor().by, mark.because()), ("discarded", "ada", Some("test data")));
    assert_eq!(offsets(&lake, Zone::Deadletter).await.len(), 3, "nothing is deleted");

    assert!(again(&lake, &topic, &Chosen::Open).await.sent.is_empty());
    assert_eq!(again(&lake, &topic, &ids(&["A/0/1"])).await.sent.values().sum::<u64>(), 1);
    assert_eq!(states(&lake).await[0], ("A/0/1".to_owned(), "replayed"));
}

async fn a_letter_that_is_not_there_is_named_and_nothing_is_done(at: At) {
    let folder = at.fresh();
    let (lake, topic) = with_letters(&folder).await;
    for missing in ["A/0/0", "B/0/1"] {
        let chosen = ids(&["A/0/1", missing]);
        let refused = discard(&customer().name, &lake, &chosen, "ada", "gone").await;
        assert!(matches!(refused, Err(LandingError::UnknownLetter { id, .. }) if id == missing));
    }
    assert!(states(&lake).await.iter().all(|(_, state)| *state == "open"));
    assert_eq!(topic.of_partition(0).len(), 2);
}

async fn one_letter_is_shown_with_every_byte_of_its_record(at: At) {
    let folder = at.fresh();
    let (lake, _) = with_letters(&folder).await;
    let letters = Letters::open(&lake, &customer().name).await.unwrap();
    let whole = letters.whole(&"A/1/1".parse().unwrap()).await.unwrap();
    assert_eq!(whole.value.as_deref(), Some(&b"no frame"[..]));
    assert_eq!(whole.key.as_deref(), Some(&b"k"[..]));
    assert_eq!(whole.headers, [("h".to_owned(), Some(b"v".to_vec()))]);
    assert_eq!(whole.letter.reason, "wrong_magic");
}

async fn a_letter_that_landing_has_not_decided_on_is_none(at: At) {
    let folder = at.fresh();
    let (lake, topic) = with_letters(&folder).await;
    // Committed by a worker that was killed before its main commit.
    let mut table = lake.table(Zone::Deadletter, "customer").await.unwrap().unwrap();
    let files: Vec<DataFile> = table.files().cloned().collect();
    let mut columns = table.read_all(&files, None).await.unwrap()[0].slice(0, 1).columns().to_vec();
    columns[3] = Arc::new(arrow::array::Int64Array::from(vec![2]));
    let batch = arrow::array::RecordBatch::try_new(Arc::new(deadletter::schema()), columns).unwrap();
    let file = NewFile { partition: Partition::None, batches: vec![batch], tags: Default::default() };
    let add = vec![table.write_file(file).await.unwrap()];
    table.commit(Commit { add, positions: vec![("weir:A:0".into(), 2)], ..Commit::default() }).await.unwrap();

    assert_eq!(letters(&lake).await.len(), 3);
    assert_eq!(again(&lake, &topic, &Chosen::Open).await.sent.values().sum::<u64>(), 2);
}

on_both!(
    a_letter_that_decodes_by_now_lands_once_and_one_that_does_not_stays_open,
    a_record_that_was_sent_and_not_marked_is_sent_again_and_lands_once,
    a_record_that_is_sent_again_names_the_letter_that_it_was,
    a_discarded_letter_says_who_and_why_and_is_sent_again_only_by_its_name,
    a_letter_that_is_not_there_is_named_and_nothing_is_done,
    one_letter_is_shown_with_every_byte_of_its_record,
    a_letter_that_landing_has_not_decided_on_is_none,
);
