//! Why the broker or the registry could not start or end well.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use weir_core::diagnosis::{Code, Diagnose, Diagnosis, Retry};

/// Why the broker or the registry could not start, or could not end cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// There is no authentication, so no other machine may reach it.
    #[error("refused to listen on `{address}`: only loopback addresses are served")]
    NotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// Another program has the port.
    #[error("port {} of {} is in use", .address.port(), .address.ip())]
    PortInUse {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The system refused the address for another reason.
    #[error("could not listen on `{address}`")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process serves this folder.
    #[error("folder `{}` is in use by another process", .dir.display())]
    FolderLocked {
        /// The folder.
        dir: PathBuf,
    },
    /// A file or folder could not be made, read or written.
    #[error("could not use `{}`", .path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A log is damaged before the place up to which it was flushed, so this is no torn tail.
    #[error("log `{}` is damaged at byte {at}: {reason}", .file.display())]
    LogDamaged {
        /// The segment.
        file: PathBuf,
        /// Where the damage starts.
        at: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A state file is damaged before its last line, so this is no torn tail.
    #[error("state file `{}` cannot be read at line {line}", .file.display())]
    StateDamaged {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// The folder was written by a newer version.
    #[error("folder `{}` has format {found}, this version reads {known}", .dir.display())]
    Format {
        /// The folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// The system gave no thread or no event queue.
    #[error("could not start the thread `{name}`")]
    Thread {
        /// Which one.
        name: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The last flush failed; what was acknowledged since the flush before it may be missing after a power cut.
    #[error("could not flush `{}` at shutdown", .path.display())]
    Flush {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Diagnose for BrokerError {
    fn diagnosis(&self) -> Diagnosis {
        let (code, cause, fix, retry) = match self {
            Self::NotLoopback { .. } => (
                "W3301",
                "the embedded broker and registry have neither authentication nor encryption",
                "listen on 127.0.0.1 or [::1]; use Apache Kafka or Amazon MSK to serve other machines",
                Retry::AfterConfiguration,
            ),
            Self::PortInUse { .. } => (
                "W3302",
                "another program listens on this port, perhaps another `weir`",
                "stop it, choose another port, or leave the port out to let the system choose one",
                Retry::AfterConfiguration,
            ),
            Self::Listen { .. } => (
                "W3303",
                "the system does not allow listening on this address",
                "use 127.0.0.1 and a port above 1023",
                Retry::AfterConfiguration,
            ),
            Self::FolderLocked { .. } => (
                "W3304",
                "two processes would write the same log",
                "stop the other process, or give each its own folder",
                Retry::Later,
            ),
            Self::Folder { .. } => (
                "W3305",
                "the folder is missing, read-only, full, or belongs to another user",
                "check the path, its owner and the free space",
                Retry::Later,
            ),
            Self::LogDamaged { .. } => (
                "W3306",
                "bytes that had been flushed have changed: a disk fault, or another program wrote there",
                "restore the folder from a copy, or delete the topic's folder and replay its source",
                Retry::Never,
            ),
            Self::StateDamaged { .. } => (
                "W3307",
                "a line that had been written whole has changed: a disk fault, or an editor",
                "restore the file from a copy, or repair the line named",
                Retry::Never,
            ),
            Self::Format { .. } => (
                "W3308",
                "a newer version of Weir wrote this folder",
                "use that version, or another folder",
                Retry::AfterConfiguration,
            ),
            Self::Thread { .. } => (
                "W3309",
                "the system's limit of threads or open files is reached",
                "raise the limit (`ulimit -u`, `ulimit -n`) or end other programs",
                Retry::Later,
            ),
            Self::Flush { .. } => (
                "W3310",
                "the disk is full or faulty",
                "free space or check the disk; the log is checked and cut to its last whole batch at the next start",
                Retry::Never,
            ),
        };
        Diagnosis { code: Code(code), cause, fix, retry }
    }
}

/// Names the path in an I/O error.
pub(crate) trait AtPath<T> {
    /// Turns the error into [`BrokerError::Folder`].
    fn at(self, path: &std::path::Path) -> Result<T, BrokerError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &std::path::Path) -> Result<T, BrokerError> {
        self.map_err(|source| BrokerError::Folder { path: path.to_owned(), source })
    }
}
