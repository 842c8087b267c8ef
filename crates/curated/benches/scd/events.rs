//! The changes: a pure function of the shape and its seed, and what a right table holds after them.
//!
//! Every batch changes other keys: 60 of 100 changes alter a type 2 column, 40 only type 1 columns, 2 are new keys.
//! 5 of 100 belong, by order and commit time, among the batch before (reordered); 1 of 100 is certainly late:
//! its key has a newer change that was delivered with the batch before. Rows of a batch come in no order.

use std::collections::{BTreeMap, HashSet};

/// Microseconds since 1970 at which everything begins: 2024-01-01.
pub const START: i64 = 1_704_067_200_000_000;
/// Orders of one batch: `batch * WINDOW ..`. An order is also the commit time, in milliseconds after [`START`].
const WINDOW: u64 = 10_000_000;

/// How much, of what.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    pub rows: u64,
    pub changes: u64,
    pub batches: u64,
    pub seed: u64,
    pub buckets: u64,
    pub clustered: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { rows: 1_000_000, changes: 100_000, batches: 10, seed: 1, buckets: 16, clustered: false }
    }
}

/// The attributes, as numbers that texts are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    pub name: u32,
    pub note: u32,
    pub amount: u32,
    pub city: u32,
    pub segment: u32,
    pub level: u32,
    pub plan: u32,
}

impl Image {
    fn tracked(&self) -> [u32; 4] {
        [self.city, self.segment, self.level, self.plan]
    }
}

/// One change.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub key: u64,
    pub order: u64,
    pub create: bool,
    pub batch: u64,
    /// Changes a type 2 column.
    pub opening: bool,
    pub image: Image,
    /// A change of the key with a greater order was delivered before.
    pub late: bool,
    /// Opens a version for who drops late changes.
    pub opens: bool,
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn draw(seed: u64, a: u64, b: u64) -> u64 {
    mix(seed ^ mix(a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ mix(b.wrapping_add(0x2545_f491_4f6c_dd1d))))
}

/// A number below `n`.
fn below(draw: u64, n: u64) -> u32 {
    u32::try_from(draw % n.max(1)).unwrap_or_default()
}

/// Commit time of an order.
pub fn time(order: u64) -> i64 {
    START + i64::try_from(order).unwrap_or_default() * 1_000
}

impl Shape {
    /// The order of a key's insert, which the first load holds.
    pub fn base_order(key: u64) -> u64 {
        key / 100
    }

    pub fn base(&self, key: u64) -> Image {
        let d = |field| draw(self.seed, key, field);
        Image {
            name: below(d(1), 900_000),
            note: below(d(2), 900_000),
            amount: below(d(3), 1_000_000),
            city: below(d(4), 1_000),
            segment: below(d(5), 20),
            level: below(d(6), 100),
            plan: below(d(7), 10),
        }
    }

    /// All changes after the first load, by (batch, place in it).
    pub fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        let mut last_keys: Vec<u64> = Vec::new();
        let mut next_key = self.rows;
        for batch in 1..=self.batches {
            let d = |i: u64, what: u64| draw(self.seed ^ 0xabcd, batch * WINDOW + i, what);
            // Clustered: from a range twice as long as the batch, somewhere.
            let span = if self.clustered { (self.changes * 2).min(self.rows) } else { self.rows };
            let from = if span < self.rows { d(u64::MAX, 1) % (self.rows - span) } else { 0 };
            let mut used: HashSet<u64> = HashSet::new();
            let mut keys = Vec::new();
            for i in 0..self.changes {
                let kind = i % 100;
                let (mut key, mut order, mut create) = (0, batch * WINDOW + 2 * i, false);
                let mut fresh = false;
                if kind < 2 {
                    (key, create, fresh) = (next_key, true, true);
                    next_key += 1;
                } else if kind == 2 && !last_keys.is_empty() {
                    key = last_keys[below(d(i, 2), last_keys.len() as u64) as usize];
                    order = (batch - 1) * WINDOW - WINDOW / 2 + 2 * i;
                    fresh = used.insert(key);
                } else if (3..8).contains(&kind) && batch > 1 {
                    order = (batch - 1) * WINDOW + 2 * i + 1;
                }
                let mut tries = 10;
                while !fresh {
                    key = from + d(i, tries) % span;
                    fresh = used.insert(key);
                    tries += 1;
                }
                let opening = create || d(i, 3) % 100 < 60;
                keys.push(key);
                let image = self.base(key);
                events.push(Event { key, order, create, batch, opening, image, late: false, opens: false });
            }
            last_keys = keys;
            let begin = events.len() - usize::try_from(self.changes).unwrap_or_default();
            // No order inside a batch.
            events[begin..].sort_by_key(|event| mix(self.seed ^ event.order));
        }
        self.fill(&mut events);
        events
    }

    /// Row images in the source's order; and what is late, in the order of delivery.
    fn fill(&self, events: &mut [Event]) {
        for places in by_key(events).into_values() {
            let mut in_order = places.clone();
            in_order.sort_by_key(|at| events[*at].order);
            let mut image = self.base(events[places[0]].key);
            for at in in_order {
                let event = &mut events[at];
                let d = |field| draw(self.seed ^ 0x5eed, event.order, field);
                if !event.create {
                    image.name = below(d(1), 900_000);
                    image.amount = below(d(3), 1_000_000);
                    if event.opening {
                        image.city = (image.city + 1 + below(d(4), 998)) % 1_000;
                        image.level = below(d(6), 100);
                    }
                }
                event.image = image;
            }
            let known = (events[places[0]].key < self.rows).then(|| self.base(events[places[0]].key));
            let mut newest: Option<(u64, Image)> = known.map(|image| (0, image));
            for at in places {
                let event = &mut events[at];
                event.late = newest.is_some_and(|(order, _)| event.order < order);
                event.opens = !event.late && newest.is_none_or(|(_, before)| before.tracked() != event.image.tracked());
                if !event.late {
                    newest = Some((event.order, event.image));
                }
            }
        }
    }

    /// What the table holds at the end: for who takes late changes into account, or for who drops them.
    pub fn expected(&self, events: &[Event], drop_late: bool) -> Sum {
        let mut sum = Sum::default();
        let changed = by_key(events);
        for key in (0..self.rows).filter(|key| !changed.contains_key(key)) {
            sum.version(key, time(Self::base_order(key)), None, &self.base(key));
        }
        for (key, places) in changed {
            let mut states: Vec<(u64, Image)> = Vec::new();
            states.extend((key < self.rows).then(|| (Self::base_order(key), self.base(key))));
            let taken = places.iter().map(|at| &events[*at]).filter(|event| !(drop_late && event.late));
            states.extend(taken.map(|event| (event.order, event.image)));
            states.sort_by_key(|(order, _)| *order);
            let Some((_, newest)) = states.last().copied() else { continue };
            let mut versions: Vec<(u64, Image)> = Vec::new();
            for (order, image) in states {
                if versions.last().is_none_or(|(_, open)| open.tracked() != image.tracked()) {
                    versions.push((order, image));
                }
            }
            for (i, (order, image)) in versions.iter().enumerate() {
                let to = versions.get(i + 1).map(|(order, _)| time(*order));
                let image = Image { name: newest.name, note: newest.note, amount: newest.amount, ..*image };
                sum.version(key, time(*order), to, &image);
            }
        }
        sum
    }
}

fn by_key(events: &[Event]) -> BTreeMap<u64, Vec<usize>> {
    let mut places: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        places.entry(event.key).or_default().push(at);
    }
    places
}

/// A table's rows in numbers that any engine can compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sum {
    pub versions: u64,
    pub current: u64,
    pub content: u64,
}

impl Sum {
    /// Adds a version; `to` is none for one that is open.
    pub fn version(&mut self, key: u64, from: i64, to: Option<i64>, image: &Image) {
        let after = |time: i64| u64::try_from((time - START) / 1_000).unwrap_or_default();
        let (from, until) = (after(from), to.map_or(0, after));
        let values = [(image.name, 3), (image.note, 5), (image.amount, 7), (image.city, 11), (image.segment, 13)];
        let values = values.into_iter().chain([(image.level, 17), (image.plan, 19)]);
        let values: u64 = values.map(|(value, weight)| u64::from(value) * weight).sum();
        self.versions += 1;
        self.current += u64::from(to.is_none());
        self.content += (key % 1_009 + 1) * (values % 10_007);
        self.content += (from % 1_009 + 1) * (until % 10_007 + key % 10_007);
    }
}
