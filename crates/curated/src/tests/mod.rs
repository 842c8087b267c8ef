//! The engine against the reference star, and by name against the cases that break such engines.

mod aggregates;
mod fixture;
mod hard_cases;
mod histories;
mod late_parent;
mod published;
mod pure;
mod reference;
mod speed;
mod whole;
