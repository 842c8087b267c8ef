//! What happens in the shop, in the source's own order: no delivery, no partition, no record yet.

use std::collections::VecDeque;

use weir_core::change::Op;

use super::dice::Dice;
use super::spec::{Spec, Switch};
use super::state::{Customer, Line, Order, Product, START, State};
use super::words;

/// A change in the order of the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub op: Op,
    pub before: Option<State>,
    pub after: Option<State>,
    /// Number of the transaction, from 1.
    pub transaction: u64,
    /// Number of the change in its transaction, from 1; both halves of a key change share it.
    pub slot: u16,
    /// Commit time, milliseconds since 1970.
    pub committed: i64,
}

impl Step {
    /// The row that the change leaves, or for a delete the row that it removes.
    pub fn state(&self) -> State {
        self.after.or(self.before).expect("every change has a row image")
    }
}

/// Something that happens between two orders, and how often in 10,000 orders.
#[derive(Clone, Copy)]
enum Incident {
    ClockJump,
    Demographics,
    Address,
    Category,
    Description,
    DeleteCustomer,
    DeleteProduct,
    DeleteLine,
    RekeyCustomer,
    RekeyProduct,
    ReappearCustomer,
    ReappearProduct,
    ReappearLine,
}

/// Each happens at least once in a run of some length: deletes stand before the reappearances.
const INCIDENTS: [(Incident, Switch, u32); 13] = [
    (Incident::ClockJump, Switch::ClockJumps, 10),
    (Incident::Demographics, Switch::Demographics, 900),
    (Incident::Address, Switch::Addresses, 900),
    (Incident::Category, Switch::Categories, 300),
    (Incident::Description, Switch::Descriptions, 500),
    (Incident::DeleteCustomer, Switch::Deletes, 60),
    (Incident::DeleteProduct, Switch::Deletes, 30),
    (Incident::DeleteLine, Switch::Deletes, 200),
    (Incident::RekeyCustomer, Switch::KeyChanges, 30),
    (Incident::RekeyProduct, Switch::KeyChanges, 15),
    (Incident::ReappearCustomer, Switch::Reappearing, 40),
    (Incident::ReappearProduct, Switch::Reappearing, 20),
    (Incident::ReappearLine, Switch::Reappearing, 60),
];

/// How many deletable lines and deleted keys are remembered: bounds memory.
const REMEMBERED: usize = 4096;
/// How many open orders are worked on at a time; one that falls out stays where it is for good.
const WORKED_ON: usize = 64;

/// At most this many, the oldest overwritten in turn.
struct Ring<T> {
    items: Vec<T>,
    most: usize,
    next: usize,
}

impl<T: Copy> Ring<T> {
    const fn new(most: usize) -> Self {
        Self { items: Vec::new(), most, next: 0 }
    }

    fn push(&mut self, item: T) {
        if self.items.len() < self.most {
            self.items.push(item);
        } else {
            self.items[self.next % self.most] = item;
            self.next += 1;
        }
    }

    fn take(&mut self, dice: &mut Dice) -> Option<T> {
        if self.items.is_empty() { None } else { Some(self.items.swap_remove(dice.index(self.items.len()))) }
    }
}

/// The shop's database and its clock.
pub(super) struct World {
    spec: Spec,
    dice: Dice,
    /// Milliseconds since 1970; set back by clock jumps.
    clock: i64,
    transaction: u64,
    slot: u16,
    customers: Vec<Customer>,
    products: Vec<Product>,
    open: Ring<Order>,
    lines: Ring<Line>,
    gone_customers: Ring<i32>,
    gone_products: Ring<u32>,
    gone_lines: Ring<Line>,
    /// Customers and products made so far, without new keys.
    made: (u32, u32),
    next_customer: i32,
    next_product: u32,
    orders: u32,
    /// Milliseconds between two orders on average.
    gap: u32,
    /// Changes in the order of the source, taken by the delivery.
    pub out: VecDeque<Step>,
}

impl World {
    pub fn new(spec: Spec) -> Self {
        // 20 s between orders, more when so few orders would not fill two days: late events need past hours.
        let gap = (172_800_000 / spec.size.orders.max(1)).max(20_000);
        Self {
            spec,
            dice: Dice::new(spec.seed, 0),
            clock: START,
            // Transaction 1 is the snapshot's.
            transaction: 1,
            slot: 0,
            customers: Vec::new(),
            products: Vec::new(),
            open: Ring::new(WORKED_ON),
            lines: Ring::new(REMEMBERED),
            gone_customers: Ring::new(REMEMBERED),
            gone_products: Ring::new(REMEMBERED),
            gone_lines: Ring::new(REMEMBERED),
            made: (0, 0),
            next_customer: 1,
            next_product: 1,
            orders: 0,
            gap,
            out: VecDeque::new(),
        }
    }

    /// Milliseconds between two orders on average.
    pub const fn gap(&self) -> u32 {
        self.gap
    }

    /// Lets the next thing happen; false when all has happened.
    pub fn step(&mut self) -> bool {
        let size = self.spec.size;
        let first_customers = size.customers - size.customers / 3;
        let first_products = size.products - size.products / 5;
        let snapshot = self.spec.switches.has(Switch::Snapshot);
        if self.made.0 < first_customers {
            self.create_customer(snapshot);
        } else if self.made.1 < first_products {
            self.create_product(snapshot);
        } else if self.orders < size.orders {
            self.orders += 1;
            self.clock += i64::from(self.dice.below(2 * self.gap));
            let share = |rest: u32| u64::from(rest) * u64::from(self.orders) / u64::from(size.orders);
            let due = (share(size.customers - first_customers), share(size.products - first_products));
            while u64::from(self.made.0 - first_customers) < due.0 {
                self.create_customer(false);
            }
            while u64::from(self.made.1 - first_products) < due.1 {
                self.create_product(false);
            }
            self.place_order();
            self.incidents();
            if self.spec.switches.has(Switch::Status) {
                for _ in 0..3 {
                    self.progress();
                }
            }
        } else {
            return false;
        }
        true
    }

    fn incidents(&mut self) {
        let count = u32::try_from(INCIDENTS.len()).expect("a few");
        for (number, (incident, switch, rate)) in (0..count).zip(INCIDENTS) {
            // Drawn whether on or off: a switch moves no other kind's incidents more than it must.
            let rolled = self.dice.chance(rate);
            let forced = u64::from(self.spec.size.orders) * u64::from(number + 2) / u64::from(count + 3);
            if self.spec.switches.has(switch) && (rolled || u64::from(self.orders) == forced.max(1)) {
                self.happen(incident);
            }
        }
    }

    fn happen(&mut self, incident: Incident) {
        match incident {
            Incident::ClockJump => self.clock -= i64::from(self.dice.between(60_000, 1_800_000)),
            Incident::Demographics => self.change_customer(Self::new_demographics),
            Incident::Address => self.change_customer(Self::new_address),
            Incident::Category => self.change_product(Self::new_category),
            Incident::Description => self.change_product(Self::new_description),
            Incident::DeleteCustomer => self.remove_customer(None),
            Incident::RekeyCustomer => {
                let id = self.next_customer;
                self.remove_customer(Some(id));
            }
            Incident::DeleteProduct => self.remove_product(None),
            Incident::RekeyProduct => {
                let number = self.next_product;
                self.remove_product(Some(number));
            }
            Incident::DeleteLine => {
                if let Some(line) = self.lines.take(&mut self.dice) {
                    self.begin();
                    self.emit(Op::Delete, Some(State::Line(line)), None);
                    self.gone_lines.push(line);
                }
            }
            Incident::ReappearCustomer => {
                if let Some(id) = self.gone_customers.take(&mut self.dice) {
                    self.begin();
                    self.insert_customer(id, Op::Create);
                }
            }
            Incident::ReappearProduct => {
                if let Some(number) = self.gone_products.take(&mut self.dice) {
                    self.begin();
                    self.insert_product(number, Op::Create);
                }
            }
            Incident::ReappearLine => {
                if let Some(line) = self.gone_lines.take(&mut self.dice) {
                    self.begin();
                    let quantity = line.quantity % 24 + 1;
                    let line = Line { quantity, ..line };
                    self.emit(Op::Create, None, Some(State::Line(line)));
                    self.lines.push(line);
                }
            }
        }
    }

    /// Starts a transaction a moment after the last one.
    fn begin(&mut self) {
        self.clock += i64::from(self.dice.between(20, 500));
        self.transaction += 1;
        self.slot = 0;
    }

    fn emit(&mut self, op: Op, before: Option<State>, after: Option<State>) {
        // A snapshot has more rows than slots, and its positions have no slot.
        self.slot = self.slot.wrapping_add(1);
        self.emit_here(op, before, after);
    }

    /// At the position of the change before.
    fn emit_here(&mut self, op: Op, before: Option<State>, after: Option<State>) {
        let (transaction, slot, committed) = (self.transaction, self.slot, self.clock);
        self.out.push_back(Step { op, before, after, transaction, slot, committed });
    }

    fn create_customer(&mut self, snapshot: bool) {
        let id = self.next_customer;
        self.next_customer += 1;
        self.made.0 += 1;
        self.begin_unless(snapshot);
        self.insert_customer(id, if snapshot { Op::Read } else { Op::Create });
    }

    fn create_product(&mut self, snapshot: bool) {
        let number = self.next_product;
        self.next_product += 1;
        self.made.1 += 1;
        self.begin_unless(snapshot);
        self.insert_product(number, if snapshot { Op::Read } else { Op::Create });
    }

    fn begin_unless(&mut self, snapshot: bool) {
        if !snapshot {
            self.begin();
        }
    }

    fn insert_customer(&mut self, id: i32, op: Op) {
        let dice = &mut self.dice;
        let mut word = |words: &[&str]| u8::try_from(dice.index(words.len())).expect("word lists are short");
        let (first, last) = (word(words::FIRST_NAMES), word(words::LAST_NAMES));
        let (street, city, country) = (word(words::STREETS), word(words::CITIES), word(words::COUNTRIES));
        let (segment, marital) = (word(words::SEGMENTS), word(words::MARITAL_STATUSES));
        // 5 % have no e-mail address, 10 % no birth date, 10 % no marital status.
        let marital = if dice.chance(1000) { u8::MAX } else { marital };
        let birth = dice.chance(9000).then(|| i32::try_from(dice.below(17_500)).expect("below 17,500") - 7_300);
        let has_email = dice.chance(9500);
        let house = u16::try_from(dice.between(1, 999)).expect("below 1,000");
        let created = self.clock;
        let customer =
            Customer { id, first, last, has_email, house, street, city, country, segment, marital, birth, created };
        self.customers.push(customer);
        self.emit(op, None, Some(State::Customer(customer)));
    }

    fn insert_product(&mut self, number: u32, op: Op) {
        let dice = &mut self.dice;
        let mut word = |words: &[&str]| u8::try_from(dice.index(words.len())).expect("word lists are short");
        let (adjective, noun, category) = (word(words::ADJECTIVES), word(words::NOUNS), word(words::CATEGORIES));
        let price = dice.between(100, 99_999);
        let discontinued = dice.chance(300);
        let product = Product { number, adjective, noun, edition: 1, category, price, discontinued };
        self.products.push(product);
        self.emit(op, None, Some(State::Product(product)));
    }

    fn change_customer(&mut self, change: fn(&mut Dice, &mut Customer)) {
        if self.customers.is_empty() {
            return;
        }
        self.begin();
        let at = self.dice.index(self.customers.len());
        let before = self.customers[at];
        change(&mut self.dice, &mut self.customers[at]);
        self.emit(Op::Update, Some(State::Customer(before)), Some(State::Customer(self.customers[at])));
    }

    fn new_demographics(dice: &mut Dice, customer: &mut Customer) {
        match dice.below(3) {
            0 => customer.segment = other(dice, customer.segment, words::SEGMENTS),
            1 => customer.marital = other(dice, customer.marital, words::MARITAL_STATUSES),
            _ => customer.country = other(dice, customer.country, words::COUNTRIES),
        }
    }

    fn new_address(dice: &mut Dice, customer: &mut Customer) {
        customer.city = other(dice, customer.city, words::CITIES);
        customer.street = other(dice, customer.street, words::STREETS);
        customer.house = u16::try_from(dice.between(1, 999)).expect("below 1,000");
    }

    fn change_product(&mut self, change: fn(&mut Dice, &mut Product)) {
        if self.products.is_empty() {
            return;
        }
        self.begin();
        let at = self.dice.index(self.products.len());
        let before = self.products[at];
        change(&mut self.dice, &mut self.products[at]);
        self.emit(Op::Update, Some(State::Product(before)), Some(State::Product(self.products[at])));
    }

    fn new_category(dice: &mut Dice, product: &mut Product) {
        product.category = other(dice, product.category, words::CATEGORIES);
    }

    fn new_description(dice: &mut Dice, product: &mut Product) {
        product.edition = product.edition % 999 + 1;
        if dice.chance(5000) {
            product.price = dice.between(100, 99_999);
        }
    }

    /// Deletes a customer, or gives it a new key. One is always left: somebody must order.
    fn remove_customer(&mut self, new_key: Option<i32>) {
        if self.customers.len() < 2 {
            return;
        }
        self.begin();
        let at = self.dice.index(self.customers.len());
        let before = self.customers[at];
        self.emit(Op::Delete, Some(State::Customer(before)), None);
        self.gone_customers.push(before.id);
        match new_key {
            None => {
                self.customers.swap_remove(at);
            }
            Some(id) => {
                self.next_customer += 1;
                self.customers[at].id = id;
                self.emit_here(Op::Create, None, Some(State::Customer(self.customers[at])));
            }
        }
    }

    /// Deletes a product, or gives it a new key. One is always left.
    fn remove_product(&mut self, new_key: Option<u32>) {
        if self.products.len() < 2 {
            return;
        }
        self.begin();
        let at = self.dice.index(self.products.len());
        let before = self.products[at];
        self.emit(Op::Delete, Some(State::Product(before)), None);
        self.gone_products.push(before.number);
        match new_key {
            None => {
                self.products.swap_remove(at);
            }
            Some(number) => {
                self.next_product += 1;
                self.products[at].number = number;
                self.emit_here(Op::Create, None, Some(State::Product(self.products[at])));
            }
        }
    }

    fn place_order(&mut self) {
        self.begin();
        let switches = self.spec.switches;
        let guest = self.dice.chance(500) || self.orders == 2;
        let buyer = self.customers[self.dice.index(self.customers.len())].id;
        let customer = if guest && switches.has(Switch::Guests) { None } else { Some(buyer) };
        // The shop writes the order up to 2 s before it commits.
        let ordered = self.clock - i64::from(self.dice.below(2000));
        let order = Order { number: self.orders, customer, status: 0, ordered };
        self.emit(Op::Create, None, Some(State::Order(order)));
        self.open.push(order);
        // 1 to 5 lines, some orders up to 12.
        let most = if self.dice.chance(300) { 12 } else { 5 };
        let count = u16::try_from(self.dice.between(1, most)).expect("at most 12");
        for number in 1..=count {
            let product = self.products[self.dice.index(self.products.len())];
            let broken = (self.dice.chance(10) || (self.orders == 3 && number == 1)) && switches.has(Switch::Broken);
            let price = i32::try_from(product.price).expect("below 100,000");
            let quantity = u16::try_from(self.dice.between(1, 24)).expect("at most 24");
            let (order, product) = (self.orders, product.number);
            let price = if broken { -price } else { price };
            let line = Line { order, number, product, customer, quantity, price, ordered };
            self.emit(Op::Create, None, Some(State::Line(line)));
            // A line in quarantine is not deleted: whether its delete is quarantined too is the contract's affair.
            if !broken {
                self.lines.push(line);
            }
        }
    }

    /// Moves an open order one status on.
    fn progress(&mut self) {
        if !self.dice.chance(9000) {
            return;
        }
        let Some(before) = self.open.take(&mut self.dice) else { return };
        self.begin();
        let cancelled = before.status < 2 && self.dice.chance(700);
        let order = Order { status: if cancelled { 4 } else { before.status + 1 }, ..before };
        self.emit(Op::Update, Some(State::Order(before)), Some(State::Order(order)));
        if order.status < 3 {
            self.open.push(order);
        }
    }
}

/// Another word of the list; any when the value was NULL.
fn other(dice: &mut Dice, now: u8, words: &[&str]) -> u8 {
    let count = u32::try_from(words.len()).expect("word lists are short");
    let next =
        if u32::from(now) < count { (u32::from(now) + dice.between(1, count - 1)) % count } else { dice.below(count) };
    u8::try_from(next).expect("word lists are short")
}
