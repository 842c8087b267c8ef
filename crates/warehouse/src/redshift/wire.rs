//! Redshift on the Postgres wire. A connection that broke is made anew for the next thing to do, with a new password where AWS
//! gives it.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;
use weir_project::{RedshiftAt, Secret};

use super::checked;
use super::password::{Login, temporary};
use crate::connection::{Connection, Failpoints};
use crate::error::WarehouseError;
use crate::outcome::Answer;
use crate::wire::Client;

/// Where the wire is and who logs in.
pub struct Address {
    pub host: String,
    pub port: u16,
    pub database: String,
    who: Who,
}

enum Who {
    Given(Secret),
    Aws(RedshiftAt),
}

impl Address {
    /// `postgres://user:password@host:5439/database`.
    pub fn of_url(text: Secret) -> Result<Self, WarehouseError> {
        let bad =
            |reason: &str| WarehouseError::Unusable { host: text.as_written().to_owned(), reason: reason.to_owned() };
        let url = parsed(&text)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("it names no host"))?;
        if !["postgres", "postgresql"].contains(&url.scheme()) || url.query().is_some() {
            return Err(bad("it is not postgres://user:password@host:5439/database"));
        }
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(5439),
            database: plain(url.path().trim_start_matches('/')),
            who: Who::Given(text),
        })
    }

    /// `host:port` of a Redshift that knows us by IAM.
    pub fn of_aws(at: &RedshiftAt, host: &str) -> Self {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
        let port = port.parse().unwrap_or(5439);
        Self { host: name.to_owned(), port, database: at.database.clone(), who: Who::Aws(at.clone()) }
    }

    /// Who logs in now.
    pub fn login(&self) -> Result<Login, WarehouseError> {
        match &self.who {
            Who::Given(text) => {
                let url = parsed(text)?;
                Ok(Login { user: plain(url.username()), password: url.password().map(plain).unwrap_or_default() })
            }
            Who::Aws(at) => temporary(at),
        }
    }

    /// The login was refused: its password may have been changed where it is kept.
    fn doubt(&self) {
        if let Who::Given(text) = &self.who {
            text.doubt();
        }
    }
}

fn parsed(text: &Secret) -> Result<Url, WarehouseError> {
    let resolved = text
        .get()
        .map_err(|error| WarehouseError::Remote { message: error.to_string(), diagnosis: Box::new(error.diagnosis) })?;
    // The parser's own message may show the password.
    let bad = |_| WarehouseError::Unusable { host: text.as_written().to_owned(), reason: "it is no URL".to_owned() };
    Url::parse(&resolved).map_err(bad)
}

fn plain(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

pub struct Wire {
    address: Address,
    timeout: Duration,
    client: Option<Client>,
}

impl Wire {
    pub fn new(address: Address, timeout: Duration) -> Self {
        Self { address, timeout, client: None }
    }

    /// Works with the connection; one that broke is not used again.
    fn with(&mut self, work: impl FnOnce(&mut Client) -> Result<(), WarehouseError>) -> Result<(), WarehouseError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => {
                let login = self.address.login()?;
                let client = Client::login(&self.address, &login, self.timeout);
                client.inspect_err(|_| self.address.doubt())?
            }
        };
        let done = work(&mut client);
        match done {
            Err(WarehouseError::ServerLost { source }) => Err(match source.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                    WarehouseError::TimedOut { after: self.timeout }
                }
                _ => WarehouseError::Away { endpoint: self.address.host.clone(), reason: source.to_string() },
            }),
            done => {
                self.client = Some(client);
                done
            }
        }
    }
}

impl Connection for Wire {
    fn stream(&mut self, text: &str, each: &mut dyn FnMut(Answer<'_>)) -> Result<(), WarehouseError> {
        self.with(|client| Connection::stream(client, text, each))
    }

    fn transaction(&mut self, script: &str, failpoints: Failpoints) -> Result<(), WarehouseError> {
        checked(script)?;
        self.with(|client| client.transaction(script, failpoints))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Address, WarehouseError> {
        Address::of_url(Secret::plain(text))
    }

    #[test]
    fn an_address_gives_host_port_database_and_login() {
        let address = of("postgres://weir:p%40ss@redshift.example.com/shop").unwrap();
        let login = address.login().unwrap();
        assert_eq!((&*address.host, address.port, &*address.database), ("redshift.example.com", 5439, "shop"));
        assert_eq!((&*login.user, &*login.password), ("weir", "p@ss"));
        assert_eq!(of("postgres://u@[::1]:1/d").unwrap().host, "::1");
    }

    #[test]
    fn an_address_that_is_none_is_told_without_its_password() {
        for text in ["postgres://u:geheim@:x/d", "mysql://u:geheim@h/d", "postgres://u:geheim@h/d?sslmode=disable"] {
            // What is shown is the text as it is written in the file, where a password is a reference.
            let told = of(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.starts_with("cannot connect to"), "{text}: {told}");
        }
    }
}
