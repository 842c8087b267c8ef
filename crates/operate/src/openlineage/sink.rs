//! Where events go. What cannot be written or sent is told once and never holds a build.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};
use weir_core::diagnosis::Diagnosed;
use weir_project::{Lineage, Secret, Vault};

/// How long a receiver may take to answer, and what is left of it when a build ends.
const PATIENCE: Duration = Duration::from_secs(5);
/// Events that may wait for a slow receiver; more are left out.
const WAITING: usize = 10_000;

/// A file, a receiver, or both.
pub(super) struct Sinks {
    file: Option<PathBuf>,
    file_failed: AtomicBool,
    receiver: Option<SyncSender<Message>>,
}

enum Message {
    Event(String),
    /// The build is over: answer when all before it is sent.
    Flush(SyncSender<()>),
}

impl Sinks {
    /// None where the project names none. Fails where a secret is not there.
    pub fn of(lineage: &Lineage, dir: &Path, vault: &Arc<dyn Vault>) -> Result<Option<Self>, Diagnosed> {
        let file = lineage.file.as_ref().map(|file| dir.join(file));
        let receiver = match &lineage.url {
            None => None,
            Some(url) => {
                let post = Post {
                    url: url.within(vault),
                    key: lineage.api_key.as_ref().map(|key| key.within(vault)),
                    agent: agent(),
                };
                post.look_up()?;
                let (to, events) = sync_channel(WAITING);
                // It ends when the last of `to` is gone, and with the process.
                let thread = std::thread::Builder::new().name("lineage".to_owned());
                match thread.spawn(move || post.run(&events)) {
                    Ok(_) => Some(to),
                    Err(error) => {
                        tracing::warn!(%error, "no lineage events are sent: no thread could be started");
                        None
                    }
                }
            }
        };
        let any = file.is_some() || receiver.is_some();
        Ok(any.then(|| Self { file, file_failed: AtomicBool::new(false), receiver }))
    }

    /// Writes an event, and leaves it to be sent.
    pub fn send(&self, event: &Value) {
        let line = event.to_string();
        if let Some(path) = &self.file
            && let Err(error) = append(path, &line)
            && !self.file_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(file = %path.display(), %error, "lineage events cannot be written");
        }
        if let Some(receiver) = &self.receiver {
            // Full: the receiver is slower than builds, which `flush` tells.
            let _ = receiver.try_send(Message::Event(line));
        }
    }

    /// A build is over: the next one tries anew. `wait`: until all is sent, for a bounded time.
    pub async fn flush(&self, wait: bool) {
        let Some(receiver) = &self.receiver else { return };
        let (done, told) = sync_channel(1);
        let asked = receiver.try_send(Message::Flush(done)).is_ok();
        if !wait {
            return;
        }
        let sent = tokio::task::spawn_blocking(move || asked && told.recv_timeout(PATIENCE).is_ok());
        if !sent.await.unwrap_or(false) {
            tracing::warn!("the lineage receiver is slow: the last events of this build may not reach it");
        }
    }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// Without a path the one that receivers have.
fn endpoint(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    match host.trim_end_matches('/').contains('/') {
        true => url.to_owned(),
        false => format!("{}/api/v1/lineage", url.trim_end_matches('/')),
    }
}

fn agent() -> Agent {
    // The system's certificates, where a company's own are.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .timeout_connect(Some(Duration::from_secs(2)))
        .http_status_as_error(false)
        .tls_config(tls);
    Agent::new_with_config(config.build())
}

/// Sends events, one after the other, on a thread of its own.
struct Post {
    url: Secret,
    key: Option<Secret>,
    agent: Agent,
}

impl Post {
    fn run(&self, events: &Receiver<Message>) {
        let (mut away, mut told) = (false, false);
        for message in events {
            let failed = match message {
                Message::Event(_) if away => continue,
                Message::Event(event) => self.post(event),
                Message::Flush(done) => {
                    // The next build tries again.
                    away = false;
                    let _ = done.send(());
                    continue;
                }
            };
            let Err((reason, is_away)) = failed else {
                told = false;
                continue;
            };
            away = is_away;
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(url = %self.url.as_written(), "lineage events do not reach their receiver: {reason}");
            }
        }
    }

    /// Where events go, and the token that is shown there.
    fn look_up(&self) -> Result<(String, Option<String>), Diagnosed> {
        Ok((endpoint(&self.url.get()?), self.key.as_ref().map(Secret::get).transpose()?))
    }

    /// Why it was not taken, and whether it is pointless to try others now.
    fn post(&self, event: String) -> Result<(), (String, bool)> {
        let (url, key) = self.look_up().map_err(|error| (error.messages().join(": "), true))?;
        let mut request = self.agent.post(&url).content_type("application/json");
        if let Some(key) = key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        match request.send(event.as_str()) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                if let (401, Some(key)) = (answer.status().as_u16(), &self.key) {
                    // A token that was changed is found for the next event.
                    key.doubt();
                }
                Err((format!("it answers {}", answer.status()), answer.status().is_server_error()))
            }
            Err(error) => Err((error.to_string(), true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_without_a_path_gets_the_usual_one() {
        assert_eq!(endpoint("http://marquez:5000"), "http://marquez:5000/api/v1/lineage");
        assert_eq!(endpoint("http://marquez:5000/"), "http://marquez:5000/api/v1/lineage");
        assert_eq!(endpoint("https://a.example/lineage/in"), "https://a.example/lineage/in");
    }
}
