//! The vocabulary of the simulated shop. Contracts may rely on these sets.

pub(super) const FIRST_NAMES: &[&str] = &[
    "Ada", "Bao", "Chloé", "Dmitri", "Esi", "Fatima", "Grace", "Hana", "Íñigo", "Jun", "Kwame", "Łucja", "Mateo",
    "Nia", "Olu", "Priya", "Quinn", "Rosa", "Søren", "Tariq", "Uma", "Vera", "Wei", "Ximena", "Yusuf", "Zoë",
];
pub(super) const LAST_NAMES: &[&str] = &[
    "Abebe", "Brown", "Castro", "Díaz", "Eriksen", "Fofanah", "García", "Haddad", "Ito", "Jansen", "Kim", "Lovelace",
    "Müller", "Nguyen", "O'Brien", "Patel", "Quispe", "Rossi", "Silva", "Tanaka", "Ünal", "Varga", "Wójcik", "Young",
];
pub(super) const STREETS: &[&str] = &[
    "Acacia Avenue",
    "Bridge Street",
    "Castle Road",
    "Dean's Yard",
    "Elm Grove",
    "Ferry Lane",
    "Garden Walk",
    "High Street",
    "Jubilee Place",
    "King Street",
    "Long Acre",
    "Mill Lane",
    "North Parade",
    "Orchard Close",
    "Park Row",
    "Queen Square",
    "River View",
    "Station Road",
];
pub(super) const CITIES: &[&str] = &[
    "Amsterdam",
    "Berlin",
    "Cork",
    "Dublin",
    "Edinburgh",
    "Florence",
    "Göteborg",
    "Helsinki",
    "Kraków",
    "Lisboa",
    "London",
    "Málaga",
    "Nantes",
    "Oslo",
    "Porto",
    "Roma",
    "Sheffield",
    "Turku",
    "Wien",
    "Zürich",
];
pub(super) const COUNTRIES: &[&str] = &[
    "Austria",
    "Finland",
    "France",
    "Germany",
    "Ireland",
    "Italy",
    "Netherlands",
    "Norway",
    "Poland",
    "Portugal",
    "Spain",
    "Sweden",
    "Switzerland",
    "United Kingdom",
];
/// Values of `customer.segment`.
pub const SEGMENTS: &[&str] = &["consumer", "trade", "public", "loyal"];
/// Values of `customer.marital_status`; NULL occurs as well.
pub const MARITAL_STATUSES: &[&str] = &["single", "married", "divorced", "widowed"];
/// Values of `product.category`.
pub const CATEGORIES: &[&str] =
    &["kitchen", "garden", "lighting", "stationery", "toys", "textiles", "seasonal", "jewellery"];
/// Values of `order.status`.
pub const STATUSES: &[&str] = &["placed", "paid", "shipped", "delivered", "cancelled"];
pub(super) const ADJECTIVES: &[&str] = &[
    "white",
    "red",
    "vintage",
    "small",
    "large",
    "glass",
    "wooden",
    "enamel",
    "retro",
    "knitted",
    "hanging",
    "folding",
    "paper",
    "ceramic",
    "heart-shaped",
    "polka-dot",
];
pub(super) const NOUNS: &[&str] = &[
    "lantern",
    "mug",
    "cake stand",
    "t-light holder",
    "jam jar",
    "lunch bag",
    "hot water bottle",
    "bunting",
    "tray",
    "clock",
    "notebook",
    "bird feeder",
    "egg cup",
    "doormat",
    "drawer knob",
    "picture frame",
    "tea towel, 2 pcs",
];
