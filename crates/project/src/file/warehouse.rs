//! `warehouse:` of a settings file.

use schemars::JsonSchema;
use serde::Deserialize;

/// `warehouse:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct WarehouseFile {
    /// `embedded`; `redshift`: Amazon Redshift, named by `workgroup` or `cluster`, which knows Weir by AWS IAM; or an address with
    /// user and password, `postgres://user:${env:PASSWORD}@host:5439/database`.
    pub target: Option<String>,
    /// Workgroup of Redshift Serverless, e.g. `shop-qa`.
    pub workgroup: Option<String>,
    /// Identifier of a provisioned Redshift cluster, e.g. `shop-prod`.
    pub cluster: Option<String>,
    /// Redshift's database, e.g. `shop`.
    pub database: Option<String>,
    /// Region of Redshift, e.g. `eu-central-1`. Left out: that of the lake, else that of the stream.
    pub region: Option<String>,
    /// Redshift's address on the Postgres wire, e.g. `shop-qa.111122223333.eu-central-1.redshift-serverless.amazonaws.com:5439`:
    /// statements go there, over TLS. Left out: they go through the Redshift Data API.
    pub host: Option<String>,
    /// A service other than AWS's own: of the Data API, or with `host` of the temporary passwords.
    pub endpoint: Option<String>,
    /// How long a statement on Redshift may take, e.g. `1h`.
    pub timeout: Option<String>,
    /// Whether builds set up the streaming views and keep the mirrors of the source tables. On Redshift they need the Lambda
    /// function that decodes Avro.
    pub mirrors: Option<bool>,
    /// Port of the embedded warehouse, e.g. `5439`. A free one when left out.
    pub port: Option<u16>,
    /// How often the streaming views are refreshed, e.g. `1m`.
    pub refresh_every: Option<String>,
    /// Memory limit of the embedded warehouse, e.g. `256MiB`.
    pub memory: Option<String>,
    /// What `${iam_role}` stands for in load scripts: `default` or a role's ARN.
    pub iam_role: Option<String>,
    /// How the warehouse proves itself to the brokers; `iam` needs external brokers.
    pub auth: Option<AuthWord>,
}

/// `none` or `iam`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthWord {
    None,
    Iam,
}
