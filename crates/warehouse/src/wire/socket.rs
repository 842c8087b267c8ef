//! The client's end of the wire: TLS, and plain only to this machine where nothing else is spoken there.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_platform_verifier::Verifier;

/// What asks a Postgres server for TLS: a length and a number that is no version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

pub enum Socket {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    /// Connects, with a certificate that the system trusts or not at all; to this machine also without, since the double has
    /// none.
    pub fn open(host: &str, port: u16, patience: Duration) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(mut socket) => {
                    socket.set_read_timeout(Some(patience))?;
                    socket.write_all(&SSL_REQUEST)?;
                    let mut answer = [0];
                    socket.read_exact(&mut answer)?;
                    return match &answer {
                        b"S" => Self::secured(socket, host),
                        b"N" if address.ip().is_loopback() => Ok(Self::Plain(socket)),
                        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks no TLS")),
                    };
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn secured(socket: TcpStream, host: &str) -> io::Result<Self> {
        let invalid = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Verifier::new(provider.clone()).map_err(invalid)?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(invalid)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(invalid)?;
        let mut secured = StreamOwned::new(connection, socket);
        // Now rather than with the first message, so that a certificate is told as such.
        secured.conn.complete_io(&mut secured.sock)?;
        Ok(Self::Tls(Box::new(secured)))
    }

    /// Longest wait for what is read.
    pub fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.set_read_timeout(patience),
            Self::Tls(socket) => socket.sock.set_read_timeout(patience),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(socket) => socket.flush(),
        }
    }
}
