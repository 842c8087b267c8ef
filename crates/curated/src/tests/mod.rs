//! The engine against the reference star, and by name against the cases that break such engines.

mod fixture;
mod hard_cases;
mod late_parent;
mod pure;
mod reference;
mod speed;
mod whole;
