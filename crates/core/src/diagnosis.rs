//! What a person needs beside an error's message: a stable code, the cause, the fix.

use std::fmt;

/// A stable error code, e.g. `W4102`. The first digit is the room:
/// 1 project, 2 source, 3 stream (broker, registry, envelope), 4 landing, 5 staging, 6 curated,
/// 7 warehouse, 8 lake, 9 operation. `docs/errors/<code>.md` has its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether trying again can help, and so which exit code the command ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again: exit code 1.
    Never,
    /// The cause may pass by itself: exit code 75.
    Later,
    /// A file of the user must change: exit code 78.
    AfterConfiguration,
    /// The command line must change: exit code 64.
    AfterUsage,
}

impl Retry {
    /// The process's exit code, after `sysexits.h`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Never => 1,
            Self::Later => 75,
            Self::AfterConfiguration => 78,
            Self::AfterUsage => 64,
        }
    }
}

/// Code, cause and fix of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Stable; has a page in the docs.
    pub code: Code,
    /// Why it happens, in general.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Whether trying again can help.
    pub retry: Retry,
}

/// Implemented by every crate's error enum, without a catch-all arm.
pub trait Diagnose: std::error::Error {
    /// Code, cause and fix of this variant.
    fn diagnosis(&self) -> Diagnosis;
}

/// An error with its diagnosis, as it crosses into the outermost layer.
#[derive(Debug)]
pub struct Diagnosed {
    /// Code, cause and fix.
    pub diagnosis: Diagnosis,
    error: Box<dyn std::error::Error + Send + Sync>,
}

impl<E: Diagnose + Send + Sync + 'static> From<E> for Diagnosed {
    fn from(error: E) -> Self {
        Self { diagnosis: error.diagnosis(), error: Box::new(error) }
    }
}

impl Diagnosed {
    /// The message and those of its sources, outermost first.
    pub fn messages(&self) -> Vec<String> {
        let mut out = vec![self.error.to_string()];
        let mut next = self.error.source();
        while let Some(source) = next {
            out.push(source.to_string());
            next = source.source();
        }
        out
    }
}

impl fmt::Display for Diagnosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}
