//! How a command that failed says so: message, code, cause, fix on standard error, and the exit code.

use std::process::ExitCode;

use weir_core::diagnosis::{Diagnose, Diagnosed, Retry};
use weir_project::{Problem, ProjectError};

use crate::output::say;

/// Why a command failed.
pub enum Failure {
    /// Something with a code, a cause and a fix.
    Diagnosed(Diagnosed),
    /// The pipeline's files: each problem with its place, as a person reads it.
    Project(Vec<String>),
    /// The command line, in a way that clap cannot see.
    Usage(String),
    /// Everything is said already, e.g. by a report; the work still failed.
    Said,
    /// The outermost layer's own.
    Plain(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Plain(error)
    }
}

impl From<Diagnosed> for Failure {
    fn from(error: Diagnosed) -> Self {
        Self::Diagnosed(error)
    }
}

impl Failure {
    /// From a crate's own error.
    pub fn of<E: Diagnose + Send + Sync + 'static>(error: E) -> Self {
        Self::Diagnosed(error.into())
    }

    /// From the project's reader.
    pub fn project(error: ProjectError) -> Self {
        Self::Project(error.problems.iter().map(Problem::render).collect())
    }

    /// Prints, and gives the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Diagnosed(error) => {
                let mut messages = error.messages().into_iter();
                say(&format!("error[{}]: {}", error.diagnosis.code, messages.next().unwrap_or_default()));
                for message in messages {
                    say(&format!("  because: {message}"));
                }
                say(&format!("  cause: {}", error.diagnosis.cause));
                say(&format!("  fix: {}", error.diagnosis.fix));
                say(&format!("  more: weir explain {}", error.diagnosis.code));
                ExitCode::from(error.diagnosis.retry.exit_code())
            }
            Self::Project(problems) => {
                for problem in &problems {
                    say(problem);
                }
                let count = problems.len();
                say(&format!("{count} problem{} in the pipeline's files", if count == 1 { "" } else { "s" }));
                ExitCode::from(Retry::AfterConfiguration.exit_code())
            }
            Self::Usage(message) => {
                say(&format!("error: {message}"));
                ExitCode::from(Retry::AfterUsage.exit_code())
            }
            Self::Said => ExitCode::from(Retry::Never.exit_code()),
            Self::Plain(error) => {
                say(&format!("error: {error:#}"));
                ExitCode::from(Retry::Never.exit_code())
            }
        }
    }
}
