//! Many random histories at once through whole builds: a *lot* holds the changes of many keys in an order of
//! arrival of its own, cut into several builds, some of them delivered more than once. A lot is a function of its
//! number, so a failure names (kind, number): it becomes a test here that calls [`holds`] with them.
//!
//! `WEIR_HISTORIES` says how many histories of each kind run, 1,000 by default; `./dev properties N` sets it.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::change::{Change, Op};
use weir_core::name::ModelName;
use weir_core::value::{Row, Value};
use weir_project::{Deletes, Model, ModelKind, Scd};

use super::fixture::{
    Bench, MISSING, S, change, dim_date, dim_shop, dim_shop_of, expected_of, fact_arrival, fact_visit, name, project,
    text,
};
use crate::build::build_in;
use crate::check::check_in;
use crate::scd::OPEN;

/// Keys of each source table in one lot: enough to make a lake worth its while.
const KEYS: u64 = 500;

/// What a lot's dimension is. Every lot has facts that point to it.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Type1,
    Type2,
    Mixed,
    /// Mixed, no value of a closed version its own; most changes come in order, by position and time.
    Timely,
    /// Mixed, and its query has a condition that rows fall out of and return into.
    Conditional,
    /// Mixed, and deletes are ignored.
    Immortal,
    /// Conditional, and updates lack values; no two changes of a key have one position.
    Missing,
    /// Business keys change, and are used again; the dimension has a durable key.
    Moving,
}

impl Kind {
    fn models(self) -> Vec<Model> {
        let mut dimension = match self {
            Self::Type1 => dim_shop_of(Scd::Type1, Scd::Type1, Scd::Type1),
            Self::Type2 => dim_shop_of(Scd::Type2, Scd::Type2, Scd::Type2),
            Self::Mixed => dim_shop_of(Scd::Type2, Scd::Type1, Scd::Type1Current),
            Self::Immortal | Self::Timely => dim_shop_of(Scd::Type2, Scd::Type1, Scd::Type1),
            Self::Conditional | Self::Missing | Self::Moving => dim_shop(),
        };
        if let (Self::Moving, ModelKind::Dimension { durable_key, .. }) = (self, &mut dimension.kind) {
            *durable_key = Some(name("shop_durable_key"));
        }
        if let (Self::Immortal, ModelKind::Dimension { deletes, .. }) = (self, &mut dimension.kind) {
            *deletes = Deletes::Ignore;
        }
        vec![dimension, fact_visit(), fact_arrival(), dim_date()]
    }
}

/// Random numbers that are the same on every machine and in every version.
pub struct Dice(u64);

impl Dice {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of 0..sides.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.roll(i as u64 + 1) as usize);
        }
    }
}

/// Changes of `keys` shops and `keys` visits, by build, in the order in which they arrive; where `missing`, updates
/// may lack values.
pub fn lot(number: u64, keys: u64, missing: bool) -> Vec<Vec<Change>> {
    let mut dice = Dice(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut changes = Vec::new();
    for key in 0..keys {
        for place in 0..=dice.roll(8) {
            changes.push(any_shop(&mut dice, key));
            if missing {
                lose(&mut dice, &mut changes, place, &[2, 3, 4]);
            }
        }
        for place in 0..=dice.roll(4) {
            changes.push(any_visit(&mut dice, key, keys));
            if missing {
                lose(&mut dice, &mut changes, place, &[3]);
            }
        }
    }
    for _ in 0..changes.len() / 8 {
        let again = changes[dice.roll(changes.len() as u64) as usize].clone();
        changes.push(again);
    }
    dice.shuffle(&mut changes);
    let builds = 1 + dice.roll(4);
    let mut out = vec![Vec::new(); builds as usize];
    for change in changes {
        out[dice.roll(builds) as usize].push(change);
    }
    out
}

/// The same changes, most of them in a build of their time, the others in a later one.
fn timely(number: u64, keys: u64) -> Vec<Vec<Change>> {
    let mut dice = Dice(number);
    let mut out = vec![Vec::new(); 4];
    for mut changed in lot(number, keys, false).concat() {
        let place = dice.roll(40);
        changed.order_key = change("shop", place as u32, changed.op, 0, 0, vec![]).order_key;
        // Sometimes the clock is off.
        changed.source_ts = if dice.roll(12) == 0 { dice.roll(40) } else { place } as i64 * S;
        let late = if dice.roll(5) == 0 { 1 + dice.roll(3) } else { 0 };
        out[3.min(place / 10 + late) as usize].push(changed);
    }
    out
}

/// Shops that come, change, go, and go on under another key, and visits to them; as in a source no two changes have one
/// position but the two halves of a key's change. In even lots most come in the order of their positions.
fn moving(number: u64, keys: u64) -> Vec<Vec<Change>> {
    let mut dice = Dice(number.wrapping_mul(0x9e6c_63d0_876a_68ee));
    let steps = keys * 5;
    let mut there: BTreeSet<u64> = BTreeSet::new();
    let mut placed: Vec<(u64, Change)> = Vec::new();
    for step in 0..steps {
        let key = dice.roll(keys);
        let ts = if dice.roll(6) == 0 { any_order(&mut dice).2 } else { (step * 9 / steps) as i64 * S };
        let mut one = |dice: &mut Dice, key: u64, op: Op| {
            let shop = Change { op, source_ts: ts, ..any_shop(dice, key) };
            let order_key = change("shop", step as u32, op, 0, 0, vec![]).order_key;
            placed.push((step, Change { order_key, ..shop }));
        };
        let other = dice.roll(keys);
        match dice.roll(8) {
            _ if there.insert(key) => one(&mut dice, key, Op::Create),
            0 => {
                there.remove(&key);
                one(&mut dice, key, Op::Delete);
            }
            1..=3 if there.insert(other) => {
                there.remove(&key);
                one(&mut dice, key, Op::Delete);
                one(&mut dice, other, Op::Create);
            }
            _ => one(&mut dice, key, Op::Update),
        }
    }
    for key in 0..keys {
        for _ in 0..=dice.roll(4) {
            placed.push((dice.roll(steps), any_visit(&mut dice, key, keys)));
        }
    }
    for _ in 0..placed.len() / 8 {
        let again = placed[dice.roll(placed.len() as u64) as usize].clone();
        placed.push(again);
    }
    dice.shuffle(&mut placed);
    let builds = 1 + dice.roll(4);
    let mut out = vec![Vec::new(); builds as usize];
    for (step, change) in placed {
        let in_order = number.is_multiple_of(2) && dice.roll(20) > 0;
        let build = if in_order { step * builds / steps } else { dice.roll(builds) };
        out[build as usize].push(change);
    }
    out
}

/// Puts the newest change at a place of its own; an update loses some of these columns.
fn lose(dice: &mut Dice, changes: &mut [Change], place: u64, columns: &[usize]) {
    let Some(newest) = changes.last_mut() else { return };
    newest.order_key = change("shop", place as u32, Op::Update, 0, 0, vec![]).order_key;
    for column in columns {
        if newest.op == Op::Update && dice.roll(3) == 0 {
            newest.row.as_mut().expect("a row")[*column] = text(MISSING);
        }
    }
}

/// Few positions and times per key, so that many are equal; some at the edges of what can be.
fn any_order(dice: &mut Dice) -> (u32, Op, i64) {
    let op = dice.one(&[Op::Create, Op::Create, Op::Update, Op::Update, Op::Update, Op::Update, Op::Delete, Op::Read]);
    let ts = match dice.roll(30) {
        0 => -5 * S,
        1 => OPEN,
        2 => OPEN - 1,
        _ => dice.roll(9) as i64 * S,
    };
    (dice.roll(10) as u32, op, ts)
}

fn any_text(dice: &mut Dice, of: &[&str]) -> Value {
    if dice.roll(6) == 0 { Value::Null } else { text(dice.one(of)) }
}

fn any_shop(dice: &mut Dice, key: u64) -> Change {
    let (order, op, ts) = any_order(dice);
    let row = vec![
        text(&format!("r{}", key % 7)),
        Value::Int((key / 7) as i64),
        any_text(dice, &["Ann", "Bob"]),
        any_text(dice, &["a", "b", "hidden"]),
        any_text(dice, &["x", "y"]),
    ];
    change("shop", order, op, ts, 2, row)
}

fn any_visit(dice: &mut Dice, key: u64, shops: u64) -> Change {
    let (order, op, ts) = any_order(dice);
    // A few point to shops that never are.
    let shop = dice.roll(shops + shops / 10 + 1);
    let at = if dice.roll(4) == 0 { Value::Null } else { Value::Timestamp(any_order(dice).2) };
    let row = vec![
        Value::Int(key as i64),
        if dice.roll(12) == 0 { Value::Null } else { text(&format!("r{}", shop % 7)) },
        Value::Int((shop / 7) as i64),
        any_text(dice, &["new", "done", "hidden"]),
        at,
        Value::Int(dice.roll(3) as i64),
        Value::Decimal(12_345, 3),
    ];
    change("visit", order, op, ts, 1, row)
}

/// Builds a lot and compares every table with the reference, in the lake and as loaded.
async fn holds(kind: Kind, number: u64, keys: u64) {
    let models = kind.models();
    let bench = Bench::with(models.clone(), 1 + (number % 4) as u16).await;
    let builds = match kind {
        Kind::Timely => timely(number, keys),
        Kind::Moving => moving(number, keys),
        _ => lot(number, keys, matches!(kind, Kind::Missing)),
    };
    for build in &builds {
        bench.stage_in_files_of(build, 700).await;
        build_in(&bench.room).await.expect("a build");
    }
    let changes = builds.concat();
    let wanted = expected_of(&models, &project, &changes);
    let what = format!("{kind:?}, lot {number} of {keys} keys");
    same(&what, "in the lake", &models, &changes, &bench.tables().await, &wanted);
    same(&what, "as loaded", &models, &changes, &bench.loaded().await, &wanted);
    assert_eq!(check_in(&bench.room).await.expect("a check"), [], "{what}");
}

type Tables = BTreeMap<ModelName, Vec<Row>>;

/// Says which key differs, and shows that key's changes: a history is what one key's rows depend on.
fn same(what: &str, place: &str, models: &[Model], changes: &[Change], found: &Tables, wanted: &Tables) {
    for model in models {
        let (found, wanted) = (&found[&model.name], &wanted[&model.name]);
        if found == wanted {
            continue;
        }
        let (has, must): (BTreeSet<&Row>, BTreeSet<&Row>) = (found.iter().collect(), wanted.iter().collect());
        let wrong = has.symmetric_difference(&must).next().copied();
        let key = |row: &Row| match model.kind {
            ModelKind::Dimension { durable_key: Some(_), .. } => row[1..2].to_vec(),
            ModelKind::Dimension { .. } => row[1..=model.key.len()].to_vec(),
            _ => row[..model.key.len()].to_vec(),
        };
        let Some(wrong) = wrong.map(key) else { panic!("{what}: `{}` {place} has a row twice", model.name) };
        let of_key = |rows: &[Row]| rows.iter().filter(|row| key(row) == wrong).cloned().collect::<Vec<Row>>();
        let history: Vec<&Change> = changes
            .iter()
            .filter(|change| Some(&change.table) == model.source.as_ref() && change.key == wrong)
            .collect();
        panic!(
            "{what}: `{}` {place} differs for {wrong:?}\nfound {:#?}\nwanted {:#?}\nhistory {history:#?}",
            model.name,
            of_key(found),
            of_key(wanted)
        );
    }
}

/// As many lots as hold the wanted number of histories of this kind.
async fn run(kind: Kind) {
    let wanted: u64 = match std::env::var("WEIR_HISTORIES") {
        Ok(text) => text.parse().expect("WEIR_HISTORIES is a number"),
        Err(_) => 1_000,
    };
    for number in 0..wanted.div_ceil(KEYS) {
        holds(kind, number, KEYS).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_of_type_1_dimensions_and_their_facts_equal_the_reference() {
    run(Kind::Type1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_of_type_2_dimensions_and_their_facts_equal_the_reference() {
    run(Kind::Type2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_of_mixed_dimensions_and_their_facts_equal_the_reference() {
    run(Kind::Mixed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_that_come_nearly_in_order_equal_the_reference() {
    run(Kind::Timely).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_that_fall_out_of_a_condition_and_return_equal_the_reference() {
    run(Kind::Conditional).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_whose_deletes_are_ignored_equal_the_reference() {
    run(Kind::Immortal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_whose_updates_lack_values_equal_the_reference() {
    run(Kind::Missing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_whose_business_keys_change_equal_the_reference() {
    run(Kind::Moving).await;
}

/// Few keys, many lots: keys meet each other again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_lots_whose_business_keys_change_equal_the_reference() {
    for number in 0..60 {
        holds(Kind::Moving, number, 6).await;
    }
}
