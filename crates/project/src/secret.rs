//! Texts that may hold references to secrets: shown as references, resolved only where they are used.

use std::fmt;

/// A setting such as `https://${env:REGISTRY_USER}@registry:8081`.
///
/// `Debug` and `Display` show the references, never what they stand for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretText(String);

impl SecretText {
    /// A text without references, e.g. one made by a program.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as written, references and all: safe to show.
    pub fn as_written(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
