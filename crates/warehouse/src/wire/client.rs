//! The other end of the wire: for a command on a folder whose warehouse file a server holds, and for a Redshift elsewhere.
//!
//! Blocking, simple protocol; messages are pgwire's own.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pgwire::api::auth::md5pass::hash_md5_password;
use pgwire::messages::data::{DataRow, RowDescription};
use pgwire::messages::response::ErrorResponse;
use pgwire::messages::simplequery::Query;
use pgwire::messages::startup::{Authentication, Password, PasswordMessageFamily, Startup};
use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use weir_core::diagnosis::{Code, Diagnosis, Retry};

use super::encode::kind_of_type;
use super::socket::Socket;
use super::users::PROCESS;
use crate::connection::{Connection, Failpoints, in_pieces};
use crate::error::WarehouseError;
use crate::outcome::{Answer, Column, Tag};
use crate::redshift::{Address, Login, in_words};
use crate::statement::text::split;

/// How long a server on the same machine may take to accept.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one elsewhere may take to accept and to let in: a serverless one may have to wake up.
const FAR_PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a warehouse that another process serves.
pub struct Client {
    socket: Socket,
    inbound: BytesMut,
    context: DecodeContext,
}

impl Client {
    /// Connects to the server that process `pid` runs on a port of the loopback address; none when nobody listens
    /// there, or somebody else does.
    pub fn connect(port: u16, pid: u32) -> Result<Option<Self>, WarehouseError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let Ok(socket) = TcpStream::connect_timeout(&address, PATIENCE) else { return Ok(None) };
        let mut client = Self::of(Socket::Plain(socket));
        // A stranger may answer nothing at all.
        client.socket.set_patience(Some(PATIENCE)).map_err(lost)?;
        client.send(&startup("weir", "weir"))?;
        let mut known = false;
        loop {
            match client.receive() {
                Ok(PgWireBackendMessage::ParameterStatus(status)) => {
                    known |= status.name == PROCESS && status.value == pid.to_string();
                }
                Ok(PgWireBackendMessage::ReadyForQuery(_)) => break,
                Ok(PgWireBackendMessage::ErrorResponse(error)) if known => return Err(refusal(error)),
                Ok(PgWireBackendMessage::ErrorResponse(_)) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
        client.socket.set_patience(None).map_err(lost)?;
        Ok(known.then_some(client))
    }

    /// Connects and logs in. From then on an answer may take so long.
    pub(crate) fn login(address: &Address, login: &Login, timeout: Duration) -> Result<Self, WarehouseError> {
        let Address { host, port, database, .. } = address;
        let told = |source: std::io::Error| match source.kind() {
            // What it says is not understood, or not trusted.
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => {
                WarehouseError::Unusable { host: host.clone(), reason: source.to_string() }
            }
            _ => WarehouseError::Away { endpoint: format!("{host}:{port}"), reason: source.to_string() },
        };
        let socket = Socket::open(host, *port, FAR_PATIENCE).map_err(told)?;
        let mut client = Self::of(socket);
        client.socket.set_patience(Some(FAR_PATIENCE)).map_err(told)?;
        client.let_in(host, login, database).map_err(|error| match error {
            WarehouseError::ServerLost { source } => told(source),
            other => other,
        })?;
        client.socket.set_patience(Some(timeout)).map_err(told)?;
        Ok(client)
    }

    fn let_in(&mut self, host: &str, login: &Login, database: &str) -> Result<(), WarehouseError> {
        self.send(&startup(&login.user, database))?;
        loop {
            match self.receive()? {
                // To this machine, or through TLS.
                PgWireBackendMessage::Authentication(Authentication::CleartextPassword) => {
                    self.send(&password(login.password.clone()))?;
                }
                PgWireBackendMessage::Authentication(Authentication::MD5Password(salt)) => {
                    self.send(&password(hash_md5_password(&login.user, &login.password, &salt)))?;
                }
                PgWireBackendMessage::Authentication(Authentication::Ok) => {}
                PgWireBackendMessage::Authentication(_) => {
                    let reason = "it asks for another proof than a password, in clear or as MD5";
                    return Err(lost(std::io::Error::other(reason)));
                }
                PgWireBackendMessage::ErrorResponse(error) => {
                    let reason = error.fields.into_iter().find(|(name, _)| *name == b'M').map(|(_, text)| text);
                    let (host, user) = (host.to_owned(), login.user.clone());
                    return Err(WarehouseError::NotLetIn { host, user, reason: reason.unwrap_or_default() });
                }
                PgWireBackendMessage::ReadyForQuery(_) => return Ok(()),
                _ => {}
            }
        }
    }

    fn of(socket: Socket) -> Self {
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = false;
        Self { socket, inbound: BytesMut::new(), context }
    }

    /// Runs a text of one or more statements as [`crate::Session::stream`] does, on the server.
    pub fn stream(&mut self, text: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<(), WarehouseError> {
        self.send(&PgWireFrontendMessage::Query(Query::new(text.to_owned())))?;
        let mut failed = None;
        loop {
            match self.receive()? {
                PgWireBackendMessage::RowDescription(described) => each(Answer::Columns(&columns(&described))),
                PgWireBackendMessage::DataRow(row) => each(Answer::Row(cells(row))),
                PgWireBackendMessage::CommandComplete(done) => each(Answer::Done(&tag(&done.tag))),
                PgWireBackendMessage::ErrorResponse(error) => failed = Some(refusal(error)),
                PgWireBackendMessage::ReadyForQuery(_) => return failed.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }

    fn send(&mut self, message: &PgWireFrontendMessage) -> Result<(), WarehouseError> {
        let mut out = BytesMut::new();
        message.encode(&mut out).map_err(|error| lost(std::io::Error::other(error)))?;
        self.socket.write_all(&out).and_then(|()| self.socket.flush()).map_err(lost)
    }

    fn receive(&mut self) -> Result<PgWireBackendMessage, WarehouseError> {
        let mut chunk = [0_u8; 16 * 1024];
        loop {
            let decoded = PgWireBackendMessage::decode(&mut self.inbound, &self.context);
            if let Some(message) = decoded.map_err(|error| lost(std::io::Error::other(error)))? {
                return Ok(message);
            }
            match self.socket.read(&mut chunk).map_err(lost)? {
                0 => return Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
                read => self.inbound.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

impl Connection for Client {
    fn stream(&mut self, text: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<(), WarehouseError> {
        let done = Self::stream(self, text, each).map_err(|error| in_words(error, None, text));
        if done.is_err() {
            self.abandon();
        }
        done
    }

    fn transaction(&mut self, script: &str, failpoints: Failpoints) -> Result<(), WarehouseError> {
        let (pieces, mut at) = (split(script)?, 0);
        let done = in_pieces(&pieces, failpoints, |piece| {
            at += 1;
            let ran = Self::stream(self, &piece.text, &mut |_| {});
            ran.map_err(|error| in_words(error, Some((at, pieces.len())), &piece.text))
        });
        if done.is_err() {
            self.abandon();
        }
        done
    }
}

impl Client {
    /// Ends what a failure left open; where the connection is gone, the server does.
    fn abandon(&mut self) {
        if let Err(error) = Self::stream(self, "ROLLBACK", &mut |_| {}) {
            tracing::debug!(%error, "nothing was rolled back");
        }
    }
}

fn startup(user: &str, database: &str) -> PgWireFrontendMessage {
    let mut startup = Startup::new();
    let parameters = [("user", user), ("database", database), ("application_name", "weir")];
    startup.parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    PgWireFrontendMessage::Startup(startup)
}

fn password(text: String) -> PgWireFrontendMessage {
    PgWireFrontendMessage::PasswordMessageFamily(PasswordMessageFamily::Password(Password::new(text)))
}

fn lost(source: std::io::Error) -> WarehouseError {
    WarehouseError::ServerLost { source }
}

fn columns(described: &RowDescription) -> Vec<Column> {
    let column = |field: &pgwire::messages::data::FieldDescription| Column {
        name: field.name.clone(),
        kind: kind_of_type(field.type_id, field.type_modifier),
    };
    described.fields.iter().map(column).collect()
}

fn cells(row: DataRow) -> Vec<Option<String>> {
    let mut data = row.data;
    let cell = |_| {
        let length = usize::try_from(data.try_get_i32().ok()?).ok()?;
        let bytes = data.split_to(length.min(data.len()));
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    (0..row.field_count).map(cell).collect()
}

/// `INSERT 0 3`, `SELECT 5`, `CREATE TABLE`: the word or words, and the last number.
fn tag(text: &str) -> Tag {
    let words: Vec<&str> = text.split(' ').collect();
    let command: Vec<&str> = words.iter().copied().take_while(|word| word.parse::<u64>().is_err()).collect();
    let rows = words.last().and_then(|word| word.parse().ok());
    Tag { command: command.join(" "), rows }
}

/// The server's error with the code, cause and fix that it would have here; of a server that is not ours, its words.
fn refusal(error: ErrorResponse) -> WarehouseError {
    let mut field: BTreeMap<u8, String> = error.fields.into_iter().collect();
    let mut take = |name: u8| field.remove(&name).unwrap_or_default();
    let (message, detail, fix, routine) = (take(b'M'), take(b'D'), take(b'H'), take(b'R'));
    let is_code = |code: &&str| code.len() == 5 && code.starts_with('W');
    let Some((code, cause)) = detail.split_once(": ").filter(|(code, _)| is_code(code)) else {
        let at = Some(take(b'P')).filter(|at| !at.is_empty()).map(|at| format!(" (at character {at})"));
        let more = Some(detail).filter(|detail| !detail.is_empty()).map(|detail| format!("; {detail}"));
        let message = format!("{message}{}{}", at.unwrap_or_default(), more.unwrap_or_default());
        return WarehouseError::Failed { place: String::new(), line: String::new(), message };
    };
    let all = [Retry::Later, Retry::AfterConfiguration, Retry::AfterUsage];
    let retry = all.into_iter().find(|retry| routine == super::routine(*retry)).unwrap_or(Retry::Never);
    // A diagnosis lives as long as the program does: here, until a command has told its one error.
    let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let diagnosis = Diagnosis { code: Code(keep(code)), cause: keep(cause), fix: keep(&fix), retry };
    WarehouseError::Remote { message, diagnosis: Box::new(diagnosis) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        assert_eq!(tag("INSERT 0 3"), Tag::counted("INSERT", 3));
        assert_eq!(tag("SELECT 0"), Tag::counted("SELECT", 0));
        assert_eq!(tag("REFRESH MATERIALIZED VIEW"), Tag::plain("REFRESH MATERIALIZED VIEW"));
    }

    #[test]
    fn nobody_and_a_stranger_are_no_server_of_ours() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert!(Client::connect(free, 1).unwrap().is_none(), "nobody listens");

        let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = stranger.local_addr().unwrap().port();
        let talks = std::thread::spawn(move || {
            let (mut socket, _) = stranger.accept().unwrap();
            socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        assert!(Client::connect(port, 1).unwrap().is_none(), "a web server");
        talks.join().unwrap();
    }
}
