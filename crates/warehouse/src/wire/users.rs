//! Who may connect: anyone on this machine, or those of a password file, by SCRAM.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::Sink;
use pgwire::api::auth::sasl::SASLAuthStartupHandler;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password};
use pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, ServerParameterProvider, StartupHandler,
    finish_authentication, protocol_negotiation, save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, PidSecretKeyGenerator, RandomPidSecretKeyGenerator};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use crate::error::WarehouseError;

/// Who may connect.
#[derive(Clone)]
pub enum Users {
    /// Everyone who reaches the loopback address, without a password.
    Trust,
    /// Those of a password file; their passwords are kept salted only.
    Passwords(Arc<Salted>),
}

/// Salt and salted password by user.
pub struct Salted(BTreeMap<String, (Vec<u8>, Vec<u8>)>);

impl Debug for Salted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Users {
    /// Reads `user:password` lines; empty ones and those that begin with `#` are left out.
    pub fn from_file(path: &Path) -> Result<Self, WarehouseError> {
        let failed = |source| WarehouseError::Passwords { path: path.to_owned(), source };
        let malformed = || failed(std::io::Error::new(std::io::ErrorKind::InvalidData, "no `user:password` line"));
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let mut users = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (user, password) =
                line.split_once(':').filter(|(u, p)| !u.is_empty() && !p.is_empty()).ok_or_else(malformed)?;
            let salt = uuid::Uuid::new_v4().as_bytes().to_vec();
            let salted = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
            users.insert(user.to_owned(), (salt, salted));
        }
        if users.is_empty() {
            return Err(malformed());
        }
        Ok(Self::Passwords(Arc::new(Salted(users))))
    }
}

#[derive(Debug)]
struct Source(Arc<Salted>);

#[async_trait]
impl AuthSource for Source {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let user = login.user().unwrap_or_default();
        let (salt, salted) = self.0.0.get(user).ok_or_else(|| PgWireError::InvalidPassword(user.to_owned()))?;
        Ok(Password::new(Some(salt.clone()), salted.clone()))
    }
}

/// The parameter by which a server tells which process it is, so that no other is taken for it.
pub const PROCESS: &str = "weir_process";

/// What the server says of itself.
#[derive(Debug)]
pub struct Parameters(DefaultServerParameterProvider);

impl ServerParameterProvider for Parameters {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<HashMap<String, String>> {
        let mut all = self.0.server_parameters(client)?;
        all.insert(PROCESS.to_owned(), std::process::id().to_string());
        Some(all)
    }
}

/// The first exchange with a client.
pub enum Startup {
    /// Without a password.
    Trust(Arc<Parameters>),
    /// By SCRAM.
    Scram(Box<SASLAuthStartupHandler<Parameters>>),
}

impl Startup {
    /// A new exchange.
    pub fn new(users: &Users) -> Self {
        let mut parameters = DefaultServerParameterProvider::default();
        // What Redshift answers; clients take its age for what it can do.
        parameters.server_version = "8.0.2".into();
        let parameters = Arc::new(Parameters(parameters));
        match users {
            Users::Trust => Self::Trust(parameters),
            Users::Passwords(salted) => {
                let mut scram = ScramAuth::new(Arc::new(Source(salted.clone())));
                scram.set_iterations(SCRAM_ITERATIONS);
                Self::Scram(Box::new(SASLAuthStartupHandler::new(parameters).with_scram(scram)))
            }
        }
    }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match self {
            Self::Scram(handler) => handler.on_startup(client, message).await,
            Self::Trust(parameters) => {
                if let PgWireFrontendMessage::Startup(ref startup) = message {
                    protocol_negotiation(client, startup).await?;
                    save_startup_parameters_to_metadata(client, startup);
                    let (pid, key) = RandomPidSecretKeyGenerator::default().generate(client);
                    client.set_pid_and_secret_key(pid, key);
                    finish_authentication(client, parameters.as_ref()).await?;
                }
                Ok(())
            }
        }
    }
}
