//! Texts that may hold references to secrets: shown as references, resolved only where they are used.
//!
//! `${env:NAME}` is a variable of the process, `${file:/path}` a file's text without its last line end.
//! `${aws-sm:NAME}` (AWS Secrets Manager) is known and refused: it is not available yet.

use std::fmt;

use crate::error::{Fault, Place, Problem, ProjectError};

/// A setting such as `https://${env:REGISTRY_USER}@registry:8081`.
///
/// `Debug` and `Display` show the references, never what they stand for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretText(String);

/// A piece of such a text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Plain(&'a str),
    Env(&'a str),
    File(&'a str),
}

impl SecretText {
    /// A text made by a program, e.g. an embedded broker's address.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as written, references and all: safe to show.
    pub fn as_written(&self) -> &str {
        &self.0
    }

    /// Whether it holds a reference.
    pub fn has_reference(&self) -> bool {
        self.0.contains("${")
    }

    /// The text with its secrets in place. Use it at once; keep, log and show the reference instead.
    pub fn resolve(&self) -> Result<String, ProjectError> {
        let mut out = String::new();
        let parts = parts(&self.0).map_err(|reason| {
            let fault = Fault::BadSecret { path: self.0.clone(), reason };
            ProjectError::from(Problem::new(fault, Place::whole("settings")))
        })?;
        for part in parts {
            match part {
                Part::Plain(text) => out.push_str(text),
                Part::Env(name) => match std::env::var(name) {
                    Ok(value) => out.push_str(&value),
                    Err(_) => {
                        return Err(missing(format!("${{env:{name}}}"), "the variable is not set".into()));
                    }
                },
                Part::File(path) => match std::fs::read_to_string(path) {
                    Ok(text) => out.push_str(text.strip_suffix('\n').unwrap_or(&text)),
                    Err(error) => {
                        return Err(missing(format!("${{file:{path}}}"), error.to_string()));
                    }
                },
            }
        }
        Ok(out)
    }

    /// Why the references in a text cannot be read; `None` when they can.
    pub(crate) fn fault(text: &str) -> Option<String> {
        parts(text).err()
    }
}

fn missing(reference: String, reason: String) -> ProjectError {
    Problem::new(Fault::SecretUnavailable { reference, reason }, Place::whole("settings")).into()
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if start > 0 {
            out.push(Part::Plain(&rest[..start]));
        }
        let Some(end) = rest[start..].find('}') else {
            return Err("a reference begins with `${` and never ends".into());
        };
        let reference = &rest[start + 2..start + end];
        match reference.split_once(':') {
            Some(("env", name)) if !name.is_empty() => out.push(Part::Env(name)),
            Some(("file", path)) if !path.is_empty() => out.push(Part::File(path)),
            Some(("aws-sm", _)) => {
                return Err("`aws-sm` references (AWS Secrets Manager) are not available yet".into());
            }
            Some((scheme, _)) => return Err(format!("`{scheme}` is no kind of reference")),
            None => return Err("a reference has the form `${kind:name}`".into()),
        }
        rest = &rest[start + end + 1..];
    }
    if !rest.is_empty() {
        out.push(Part::Plain(rest));
    }
    Ok(out)
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_reference_is_shown_as_written_and_resolved_where_it_is_used() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file, "s3cret").expect("written");
        let text = SecretText::plain(format!("user:${{file:{}}}@host", file.path().display()));
        assert_eq!(text.resolve().expect("there"), "user:s3cret@host");
        assert!(!format!("{text} {text:?}").contains("s3cret"));
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_by_its_reference() {
        let error = SecretText::plain("${env:WEIR_TEST_SURELY_UNSET}").resolve().expect_err("unset");
        assert!(error.to_string().contains("secret `${env:WEIR_TEST_SURELY_UNSET}` is not available"));
    }

    #[test]
    fn unknown_kinds_of_reference_are_refused_by_name() {
        assert_eq!(SecretText::fault("${vault:x}").as_deref(), Some("`vault` is no kind of reference"));
        assert!(SecretText::fault("${aws-sm:x}").is_some_and(|reason| reason.contains("not available yet")));
        assert!(SecretText::fault("${env:X").is_some());
        assert!(SecretText::fault("${X}").is_some());
        assert_eq!(SecretText::fault("a${env:X}b"), None);
    }
}
