//! A password for the Postgres wire that AWS gives to whom it knows, and takes back after a quarter of an hour. A login is
//! all that it is needed for, so none is kept.

use serde_json::{Value, json};
use weir_project::{RedshiftAt, RedshiftName};
use weir_stream::aws::{Service, element};

use super::asked;
use crate::error::WarehouseError;

/// A database user and the password of the moment.
pub struct Login {
    pub user: String,
    pub password: String,
}

/// Asks AWS for one.
pub fn temporary(at: &RedshiftAt) -> Result<Login, WarehouseError> {
    let endpoint = at.endpoint.as_deref();
    match &at.name {
        RedshiftName::Workgroup(name) => {
            const ACTION: &str = "GetCredentials";
            let service = Service::new("redshift-serverless", &at.region, endpoint);
            let body = json!({ "workgroupName": name, "dbName": at.database });
            let target = format!("RedshiftServerless.{ACTION}");
            let answer: Value = asked(&service, ACTION, || service.json(&target, &body))?;
            let text = |value: &Value| value.as_str().map(str::to_owned);
            login(&service, text(&answer["dbUser"]), text(&answer["dbPassword"]))
        }
        RedshiftName::Cluster(name) => {
            const ACTION: &str = "GetClusterCredentialsWithIAM";
            let service = Service::new("redshift", &at.region, endpoint);
            let form =
                [("Action", ACTION), ("Version", "2012-12-01"), ("ClusterIdentifier", name), ("DbName", &at.database)];
            let answer = asked(&service, ACTION, || service.form(&form))?;
            login(&service, element(&answer, "DbUser"), element(&answer, "DbPassword"))
        }
    }
}

fn login(service: &Service, user: Option<String>, password: Option<String>) -> Result<Login, WarehouseError> {
    match (user, password) {
        (Some(user), Some(password)) => Ok(Login { user, password }),
        _ => Err(WarehouseError::Away {
            endpoint: service.url().to_owned(),
            reason: "its answer holds no password".to_owned(),
        }),
    }
}
