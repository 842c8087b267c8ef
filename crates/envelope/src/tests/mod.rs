//! Tests that hold the crate to Debezium's own bytes and to a second Avro implementation.

mod agreement;
mod damage;
mod fixtures;
mod fuzz;
mod generated;
mod rows;
