//! `warehouse:`

use std::time::Duration;

use bytesize::ByteSize;

use super::{Check, is_host_and_port};
use crate::settings::{Auth, RedshiftAt, RedshiftName, Warehouse, WarehouseTarget};

/// What says which Amazon Redshift is meant.
const OF_REDSHIFT: [&str; 6] = [
    "warehouse.workgroup",
    "warehouse.cluster",
    "warehouse.database",
    "warehouse.region",
    "warehouse.host",
    "warehouse.endpoint",
];

impl Check<'_> {
    pub(super) fn warehouse(&mut self) -> Warehouse {
        let target = self.target();
        let mirrors = self.text("warehouse.mirrors") == "true";
        if !mirrors {
            self.useless("warehouse.auth", "without mirrors the warehouse reads no topic");
        }
        let auth = match self.text("warehouse.auth").as_str() {
            "none" => Auth::None,
            "iam" => {
                if self.text("stream.brokers") == "embedded" {
                    self.useless("warehouse.auth", "the embedded broker asks no one who they are");
                }
                Auth::Iam
            }
            text => {
                let reason = format!("`{text}` is not allowed");
                self.bad("warehouse.auth", reason, "use `none` or `iam`");
                Auth::None
            }
        };
        let iam_role = self.text("warehouse.iam_role");
        if iam_role != "default" && !is_role_arn(&iam_role) {
            let fix = "write `default`, or an ARN such as `arn:aws:iam::123456789012:role/load`";
            self.bad("warehouse.iam_role", "it is no role", fix);
        }
        Warehouse {
            target,
            timeout: self.duration("warehouse.timeout", Duration::from_secs(1)),
            mirrors,
            refresh_every: self.duration("warehouse.refresh_every", Duration::from_secs(1)),
            memory: self.size("warehouse.memory", ByteSize::mib(64)),
            iam_role,
            auth,
        }
    }

    fn target(&mut self) -> WarehouseTarget {
        let text = self.text("warehouse.target");
        if text != "redshift" {
            for path in OF_REDSHIFT {
                self.useless(path, "`warehouse.target` is not `redshift`");
            }
        }
        if text == "embedded" {
            self.useless("warehouse.timeout", "the warehouse is embedded");
            return WarehouseTarget::Embedded { port: self.port("warehouse.port") };
        }
        self.useless("warehouse.port", "the warehouse is not embedded");
        self.useless("warehouse.memory", "Redshift has its own memory");
        if text == "redshift" {
            return WarehouseTarget::Redshift(self.redshift());
        }
        let url = ["postgres://", "postgresql://", "${"].iter().any(|start| text.starts_with(start));
        if !url {
            let fix = "write `embedded`, `redshift`, or `postgres://user@host:5439/database`";
            self.bad("warehouse.target", "it is no warehouse", fix);
        }
        if text.contains('?') {
            let fix = "leave them out: TLS is used always, with a certificate that the system trusts";
            self.bad("warehouse.target", "parameters of the address are not read", fix);
        }
        WarehouseTarget::Address(self.secret_text("warehouse.target"))
    }

    fn redshift(&mut self) -> RedshiftAt {
        let name = match (self.some("warehouse.workgroup"), self.some("warehouse.cluster")) {
            (Some(name), None) => RedshiftName::Workgroup(self.aws_name("warehouse.workgroup", name)),
            (None, Some(name)) => RedshiftName::Cluster(self.aws_name("warehouse.cluster", name)),
            (Some(_), Some(_)) => {
                self.useless("warehouse.cluster", "`warehouse.workgroup` names another Redshift");
                RedshiftName::Cluster(String::new())
            }
            (None, None) => {
                let fix = "set `warehouse.workgroup` (Serverless) or `warehouse.cluster`";
                self.bad("warehouse.target", "`redshift` needs a name", fix);
                RedshiftName::Cluster(String::new())
            }
        };
        let database = self.some("warehouse.database").unwrap_or_default();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if database.is_empty() {
            self.bad("warehouse.target", "`redshift` needs a database", "set `warehouse.database`");
        } else if database.len() > 64 || !database.bytes().all(allowed) {
            self.bad("warehouse.database", "it names no database", "use letters, digits, `_` and `-`, 64 at most");
        }
        let host = self.some("warehouse.host");
        if host.as_deref().is_some_and(|host| !is_host_and_port(host)) {
            self.bad("warehouse.host", "it is no address", "write `host:port`, e.g. with port 5439");
        }
        let endpoint = self.url("warehouse.endpoint");
        if endpoint.is_none() && !self.text("lake.root").starts_with("s3://") {
            let fix = "set `lake.root` to `s3://bucket/prefix`, or leave the warehouse embedded";
            self.bad("warehouse.target", "Redshift cannot read a lake in a folder", fix);
        }
        let places = ["warehouse.region", "lake.region", "stream.region"];
        let region = match places.iter().find(|path| self.setting(path).is_some()) {
            Some(path) => self.region_at(path),
            None => {
                self.bad(
                    "warehouse.target",
                    "`redshift` needs a region",
                    "set `warehouse.region`, e.g. `eu-central-1`",
                );
                String::new()
            }
        };
        RedshiftAt { name, database, region, host, endpoint }
    }

    /// A name as AWS gives it to workgroups and clusters.
    fn aws_name(&mut self, path: &str, name: String) -> String {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(3..=63).contains(&name.len()) || !name.bytes().all(allowed) {
            self.bad(path, "AWS gives no such name", "use 3 to 63 lower-case letters, digits and `-`");
        }
        name
    }
}

/// The ARN goes into SQL text between quotes, so its letters are held to a list.
fn is_role_arn(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b":/+=,.@_-".contains(&b);
    text.starts_with("arn:") && text.contains(":role/") && text.bytes().all(allowed)
}
