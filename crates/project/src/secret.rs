//! Texts that may hold references to secrets: shown as references, resolved only where they are used.
//!
//! `${env:NAME}` is a variable of the process, `${file:/path}` a file's text without its last line end. Two kinds lead to
//! AWS, by a [`Vault`]: `${aws-sm:NAME}` is a secret of Secrets Manager, `${aws-sm:NAME#field}` a field of the JSON object
//! that it holds, `${aws-ssm:NAME}` a parameter of Systems Manager.

use std::fmt;
use std::sync::Arc;

use weir_core::diagnosis::Diagnosed;

use crate::error::{Fault, Place, Problem, ProjectError};

/// A setting such as `https://${env:REGISTRY_USER}@registry:8081`.
///
/// `Debug` and `Display` show the references, never what they stand for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretText(String);

/// What a vault is asked for; shown as the reference to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item<'a> {
    /// A secret of AWS Secrets Manager.
    Secret {
        /// Its name or ARN.
        name: &'a str,
        /// The field of the JSON object that it holds; none: all of its text.
        field: Option<&'a str>,
    },
    /// A parameter of AWS Systems Manager.
    Parameter {
        /// Its name or ARN.
        name: &'a str,
    },
}

/// Where secrets are kept outside of this machine. Calls block.
pub trait Vault: Send + Sync {
    /// The value, at most a few minutes old.
    fn get(&self, item: Item<'_>) -> Result<String, Diagnosed>;
    /// What was given last was refused where it was used: the next call asks anew.
    fn doubt(&self, item: Item<'_>);
}

/// A text with the way to its secrets. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(Inner);

#[derive(Clone)]
enum Inner {
    Plain(String),
    Referring(SecretText, Arc<dyn Vault>),
}

impl Secret {
    /// A text made by a program, e.g. an embedded broker's address. Nothing in it is a reference.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(Inner::Plain(text.into()))
    }

    /// The text with references in place of secrets; a plain one as it is.
    pub fn as_written(&self) -> &str {
        match &self.0 {
            Inner::Plain(text) => text,
            Inner::Referring(text, _) => text.as_written(),
        }
    }

    /// The text with its secrets in place. Use it at once; keep, log and show the reference instead. May block.
    pub fn get(&self) -> Result<String, Diagnosed> {
        match &self.0 {
            Inner::Plain(text) => Ok(text.clone()),
            Inner::Referring(text, vault) => text.resolve(&**vault),
        }
    }

    /// The text was refused where it was used: what a vault holds of it is asked for anew next time.
    pub fn doubt(&self) {
        let Inner::Referring(text, vault) = &self.0 else { return };
        text.kept().for_each(|item| vault.doubt(item));
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

/// A piece of such a text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Plain(&'a str),
    Env(&'a str),
    File(&'a str),
    Kept(Item<'a>),
}

impl SecretText {
    /// A text as a file or a program has it.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as written, references and all: safe to show.
    pub fn as_written(&self) -> &str {
        &self.0
    }

    /// The text, to be resolved where it is used; references to AWS lead into this vault.
    pub fn within(&self, vault: &Arc<dyn Vault>) -> Secret {
        Secret(Inner::Referring(self.clone(), vault.clone()))
    }

    /// What vaults are asked for when the text is resolved.
    pub fn kept(&self) -> impl Iterator<Item = Item<'_>> {
        let kept = |part| if let Part::Kept(item) = part { Some(item) } else { None };
        parts(&self.0).unwrap_or_default().into_iter().filter_map(kept)
    }

    fn resolve(&self, vault: &dyn Vault) -> Result<String, Diagnosed> {
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
                        return Err(missing(format!("${{env:{name}}}"), "the variable is not set".into()).into());
                    }
                },
                Part::File(path) => match std::fs::read_to_string(path) {
                    Ok(text) => out.push_str(text.strip_suffix('\n').unwrap_or(&text)),
                    Err(error) => {
                        return Err(missing(format!("${{file:{path}}}"), error.to_string()).into());
                    }
                },
                Part::Kept(item) => out.push_str(&vault.get(item)?),
            }
        }
        Ok(out)
    }

    /// Why the references in a text cannot be read; `None` when they can.
    pub(crate) fn fault(text: &str) -> Option<String> {
        parts(text).err()
    }
}

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { name, field: None } => write!(f, "${{aws-sm:{name}}}"),
            Self::Secret { name, field: Some(field) } => write!(f, "${{aws-sm:{name}#{field}}}"),
            Self::Parameter { name } => write!(f, "${{aws-ssm:{name}}}"),
        }
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
        let Some((scheme, name)) = reference.split_once(':').filter(|(_, name)| !name.is_empty()) else {
            return Err("a reference has the form `${kind:name}`".into());
        };
        out.push(match scheme {
            "env" => Part::Env(name),
            "file" => Part::File(name),
            "aws-sm" => match name.split_once('#') {
                None => Part::Kept(Item::Secret { name, field: None }),
                Some((name, field)) if !name.is_empty() && !field.is_empty() => {
                    Part::Kept(Item::Secret { name, field: Some(field) })
                }
                Some(_) => return Err("a field of a secret has the form `${aws-sm:name#field}`".into()),
            },
            "aws-ssm" => Part::Kept(Item::Parameter { name }),
            _ => return Err(format!("`{scheme}` is no kind of reference")),
        });
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
    use std::sync::Mutex;

    use super::*;

    /// Says what it was asked for, and what was doubted.
    #[derive(Default)]
    struct Asked(Mutex<Vec<String>>);

    impl Vault for Asked {
        fn get(&self, item: Item<'_>) -> Result<String, Diagnosed> {
            self.0.lock().expect("whole").push(item.to_string());
            Ok("s3cret".to_owned())
        }

        fn doubt(&self, item: Item<'_>) {
            self.0.lock().expect("whole").push(format!("not {item}"));
        }
    }

    fn secret(text: &str) -> (Secret, Arc<Asked>) {
        let asked = Arc::new(Asked::default());
        let vault: Arc<dyn Vault> = asked.clone();
        (SecretText::plain(text).within(&vault), asked)
    }

    #[test]
    fn a_reference_is_shown_as_written_and_resolved_where_it_is_used() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(file, "s3cret").expect("written");
        let text = format!("user:${{file:{}}}@host", file.path().display());
        let (secret, _) = secret(&text);
        assert_eq!(secret.get().expect("there"), "user:s3cret@host");
        assert_eq!(secret.as_written(), text);
        assert!(!format!("{secret:?} {:?}", SecretText::plain(text)).contains("s3cret"));
    }

    #[test]
    fn a_vault_is_asked_when_the_value_is_needed_and_told_of_doubt() {
        let (secret, asked) = secret("${aws-sm:shop/kafka#password}, ${aws-ssm:/shop/salt}");
        assert!(asked.0.lock().expect("whole").is_empty());
        assert_eq!(secret.get().expect("there"), "s3cret, s3cret");
        secret.doubt();
        let wanted = ["${aws-sm:shop/kafka#password}", "${aws-ssm:/shop/salt}"];
        let doubted = wanted.map(|item| format!("not {item}"));
        assert_eq!(*asked.0.lock().expect("whole"), [wanted.map(str::to_owned), doubted].concat());
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[test]
    fn nothing_in_a_programs_own_text_is_a_reference() {
        let secret = Secret::plain("pa${env:X}ss");
        assert_eq!(secret.get().expect("as it is"), "pa${env:X}ss");
        assert!(!format!("{secret:?}").contains("pa"));
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_by_its_reference() {
        let error = secret("${env:WEIR_TEST_SURELY_UNSET}").0.get().expect_err("unset");
        assert!(error.to_string().contains("secret `${env:WEIR_TEST_SURELY_UNSET}` is not available"));
    }

    #[test]
    fn unknown_kinds_of_reference_are_refused_by_name() {
        assert_eq!(SecretText::fault("${vault:x}").as_deref(), Some("`vault` is no kind of reference"));
        for wrong in ["${env:X", "${X}", "${env:}", "${aws-sm:#x}", "${aws-sm:x#}", "${aws-ssm:}"] {
            assert!(SecretText::fault(wrong).is_some(), "{wrong}");
        }
        for right in ["a${env:X}b", "${aws-sm:x}", "${aws-sm:arn:aws:secretsmanager:r:1:secret:x-1#f}", "${aws-ssm:/x}"]
        {
            assert_eq!(SecretText::fault(right), None, "{right}");
        }
    }
}
