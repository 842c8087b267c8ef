//! Testkit: what a test compares the product with, and how it runs it.
//!
//! In: changes as the source made them, models of a project, the built binary.
//! Out: reference models — small, obvious, written apart from the engine; outcomes of the binary's calls;
//! a store that breaks on command; what a process has used.
//! Never: linked into the product; it is a development dependency only.

pub mod fault;
pub mod harness;
pub mod one_build;
pub mod process;
pub mod star;

pub use fault::mix;
