//! From resolved settings to the sections' types: units read, sizes bounded, useless settings refused.

mod warehouse;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytesize::ByteSize;

use crate::error::{Fault, Problem};
use crate::recovery::Recovery;
use crate::resolve::{Origin, Resolved, ResolvedSetting};
use crate::secret::SecretText;
use crate::settings::{
    Catalog, Curated, Endpoint, Lake, LakeRoot, Landing, Lineage, Metrics, RegistryAt, Staging, Stream, Warehouse,
};

/// All sections.
pub(crate) struct Settings {
    pub stream: Stream,
    pub lake: Lake,
    pub landing: Landing,
    pub staging: Staging,
    pub curated: Curated,
    pub warehouse: Warehouse,
    pub metrics: Metrics,
    pub lineage: Lineage,
    pub catalog: Catalog,
    pub recovery: Recovery,
}

/// Checks all sections; every problem is reported.
pub(crate) fn check(resolved: &Resolved) -> Result<Settings, Vec<Problem>> {
    let mut check = Check { resolved, problems: Vec::new() };
    let settings = Settings {
        stream: check.stream(),
        lake: check.lake(),
        landing: Landing {
            max_wait: check.duration("landing.max_wait", Duration::from_millis(100)),
            max_rows: check.number("landing.max_rows", 1, 10_000_000),
            max_size: check.size("landing.max_size", ByteSize::mib(1)),
            retention: check.duration("landing.retention", Duration::from_secs(1)),
            compact_after: check.duration("landing.compact_after", Duration::from_secs(1)),
            compact_size: check.size("landing.compact_size", ByteSize::mib(1)),
            allowed_lateness: check.duration("landing.allowed_lateness", Duration::ZERO),
        },
        staging: Staging {
            max_rows: check.number("staging.max_rows", 1, 10_000_000),
            unavailable_value: check.text("staging.unavailable_value"),
        },
        curated: Curated { buckets: check.buckets() },
        warehouse: check.warehouse(),
        metrics: Metrics { listen: check.address("metrics.listen"), emf: check.truth("metrics.emf") },
        lineage: check.lineage(),
        catalog: check.catalog(),
        recovery: check.recovery(),
    };
    if check.problems.is_empty() { Ok(settings) } else { Err(check.problems) }
}

struct Check<'a> {
    resolved: &'a Resolved,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn setting(&self, path: &str) -> Option<&ResolvedSetting> {
        self.resolved.get(path)
    }

    fn text(&self, path: &str) -> String {
        self.setting(path).map(|setting| setting.value.clone()).unwrap_or_default()
    }

    fn bad(&mut self, path: &str, reason: impl Into<String>, fix: &str) {
        let fault = Fault::BadValue { path: path.to_owned(), reason: reason.into() };
        let place = self.setting(path).map(ResolvedSetting::place).unwrap_or_default();
        self.problems.push(Problem::new(fault, place).hint(Some(fix.to_owned())));
    }

    /// Refuses a setting that someone wrote and nobody would read.
    fn useless(&mut self, path: &str, reason: &str) {
        let Some(setting) = self.setting(path).filter(|setting| setting.origin != Origin::Default) else {
            return;
        };
        let fault = Fault::Useless { path: path.to_owned(), reason: reason.to_owned() };
        let hint = "remove it, or move it to the file of an environment that uses it";
        let problem = Problem::new(fault, setting.place()).hint(Some(hint.to_owned()));
        self.problems.push(problem);
    }

    fn duration(&mut self, path: &str, least: Duration) -> Duration {
        let text = self.text(path);
        let read = humantime::parse_duration(&text);
        match read {
            Ok(duration) if duration >= least => duration,
            Ok(_) => {
                let fix = format!("use at least `{}`", humantime::format_duration(least));
                self.bad(path, format!("{text} is too short"), &fix);
                least
            }
            Err(_) => {
                self.bad(
                    path,
                    format!("`{text}` is no duration"),
                    "write a number with a unit: `500ms`, `30s`, `1m`, `7d`",
                );
                least
            }
        }
    }

    /// Optional: what is not declared is measured, and held to nothing.
    fn objective(&mut self, path: &str) -> Option<Duration> {
        self.setting(path)?;
        Some(self.duration(path, Duration::from_millis(1)))
    }

    fn size(&mut self, path: &str, least: ByteSize) -> ByteSize {
        let text = self.text(path);
        match text.parse::<ByteSize>() {
            Ok(size) if size >= least => size,
            Ok(_) => {
                self.bad(path, format!("{text} is too small"), &format!("use at least `{}MiB`", least.as_u64() >> 20));
                least
            }
            Err(_) => {
                self.bad(path, format!("`{text}` is no size"), "write a number with a unit: `64MiB`, `1GiB`");
                least
            }
        }
    }

    fn number<N: TryFrom<u64> + Default>(&mut self, path: &str, min: u64, max: u64) -> N {
        let text = self.text(path);
        let read = text.parse::<u64>().ok().filter(|n| (min..=max).contains(n)).and_then(|n| N::try_from(n).ok());
        read.unwrap_or_else(|| {
            self.bad(path, format!("`{text}` is no whole number from {min} to {max}"), "write one");
            N::default()
        })
    }

    fn truth(&mut self, path: &str) -> bool {
        let text = self.text(path);
        let read = text.parse::<bool>();
        if read.is_err() {
            self.bad(path, format!("`{text}` is neither true nor false"), "write `true` or `false`");
        }
        read.unwrap_or_default()
    }

    /// The buckets of a key are told by the low bits of its hash.
    fn buckets(&mut self) -> u16 {
        let buckets: u16 = self.number("curated.buckets", 1, 1024);
        if buckets != 0 && !buckets.is_power_of_two() {
            let near = buckets.next_power_of_two();
            self.bad("curated.buckets", format!("`{buckets}` is no power of two"), &format!("write {near}"));
        }
        buckets
    }

    /// Optional, and only useful for something embedded.
    fn port(&mut self, path: &str) -> Option<u16> {
        self.setting(path)?;
        Some(self.number(path, 1, 65_535))
    }

    /// Optional: an IP address and a port; 0 is a port of the system's choice.
    fn address(&mut self, path: &str) -> Option<SocketAddr> {
        self.setting(path)?;
        let text = self.text(path);
        let read = text.parse().ok();
        if read.is_none() {
            self.bad(path, format!("`{text}` is no address"), "write an IP address and a port: `127.0.0.1:9464`");
        }
        read
    }

    /// A text with readable references and without a password in plain sight.
    fn secret_text(&mut self, path: &str) -> SecretText {
        let text = self.text(path);
        let place = self.setting(path).map(ResolvedSetting::place).unwrap_or_default();
        if let Some(reason) = SecretText::fault(&text) {
            self.problems.push(Problem::new(Fault::BadSecret { path: path.to_owned(), reason }, place));
        } else if holds_plain_secret(path, &text) {
            self.problems.push(Problem::new(Fault::PlainSecret(path.to_owned()), place));
        }
        SecretText::plain(text)
    }

    fn stream(&mut self) -> Stream {
        let brokers = match self.text("stream.brokers").as_str() {
            "embedded" => {
                let names: Vec<String> = self.client_paths();
                for path in names {
                    self.useless(&path, "the embedded broker is inside the process and takes no client settings");
                }
                Endpoint::Embedded { port: self.port("stream.port") }
            }
            text => {
                self.useless("stream.port", "the brokers are external");
                if !text.contains("${") && !text.split(',').all(is_host_and_port) {
                    self.bad(
                        "stream.brokers",
                        "it is no list of brokers",
                        "write `embedded`, or `host:port,host:port`",
                    );
                }
                Endpoint::External(self.secret_text("stream.brokers"))
            }
        };
        let registry = self.registry();
        let iam = self.iam(&brokers);
        let mut client = BTreeMap::new();
        if matches!(brokers, Endpoint::External(_)) {
            for path in self.client_paths() {
                let key = path.trim_start_matches("stream.client.").to_owned();
                if iam.is_some() && (key == "security.protocol" || key.starts_with("sasl.")) {
                    self.useless(&path, "`stream.security: iam` says how the brokers let Weir in");
                    continue;
                }
                if matches!(key.as_str(), "bootstrap.servers" | "metadata.broker.list") {
                    self.useless(&path, "`stream.brokers` names the brokers");
                    continue;
                }
                client.insert(key, self.secret_text(&path));
            }
        }
        Stream {
            brokers,
            registry,
            iam,
            partitions: i32::from(self.number::<u16>("stream.partitions", 1, 1000)),
            retention: self.duration("stream.retention", Duration::from_secs(1)),
            client,
        }
    }

    fn registry(&mut self) -> RegistryAt {
        let text = self.text("stream.registry");
        if text != "embedded" {
            self.useless("stream.registry_port", "the registry is external");
        }
        if text != "glue" {
            self.useless("stream.registry_endpoint", "`stream.registry` is not `glue`");
        }
        match text.as_str() {
            "embedded" => RegistryAt::Embedded { port: self.port("stream.registry_port") },
            "glue" => {
                let region = self.region("stream.registry", "glue");
                RegistryAt::Glue { region, endpoint: self.url("stream.registry_endpoint") }
            }
            text => {
                if !text.starts_with("${") && !text.starts_with("http://") && !text.starts_with("https://") {
                    self.bad(
                        "stream.registry",
                        "it is no URL",
                        "write `embedded`, `glue`, or a URL such as `https://registry:8081`",
                    );
                }
                RegistryAt::Confluent(self.secret_text("stream.registry"))
            }
        }
    }

    /// The region of a cluster with IAM.
    fn iam(&mut self, brokers: &Endpoint) -> Option<String> {
        let text = self.some("stream.security");
        if text.is_none() && self.text("stream.registry") != "glue" {
            self.useless("stream.region", "neither `stream.security: iam` nor `stream.registry: glue` is set");
        }
        match text?.as_str() {
            "iam" if matches!(brokers, Endpoint::Embedded { .. }) => {
                self.useless("stream.security", "the embedded broker asks no one who they are");
                None
            }
            "iam" => Some(self.region("stream.security", "iam")),
            text => {
                let reason = format!("`{text}` is not allowed");
                self.bad("stream.security", reason, "write `iam`, or leave it out and set `stream.client`");
                None
            }
        }
    }

    /// `stream.region`, which this value of a setting needs. It becomes part of host names.
    fn region(&mut self, path: &str, value: &str) -> String {
        if self.some("stream.region").is_none() {
            self.bad(path, format!("`{value}` needs a region"), "set `stream.region`, e.g. `eu-central-1`");
        }
        self.region_at("stream.region")
    }

    /// The region that a setting names, where it has one.
    fn region_at(&mut self, path: &str) -> String {
        let region = self.some(path).unwrap_or_default();
        if !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            self.bad(path, "it is no region", "write one such as `eu-central-1`");
        }
        region
    }

    /// An optional URL of a service of AWS's, without credentials in it.
    fn url(&mut self, path: &str) -> Option<String> {
        let url = self.some(path);
        match url.as_deref().map(|url| url.split_once("://")) {
            Some(Some(("http" | "https", rest))) if rest.contains('@') => {
                let fix = "let the process find its credentials as AWS programs do, e.g. in variables";
                self.bad(path, "it holds a user", fix);
            }
            None | Some(Some(("http" | "https", _))) => {}
            Some(_) => self.bad(path, "it is no URL", "write a URL such as `https://minio.example.com`"),
        }
        url
    }

    fn client_paths(&self) -> Vec<String> {
        self.resolved.keys().filter(|path| path.starts_with("stream.client.")).cloned().collect()
    }

    fn lake(&mut self) -> Lake {
        let root = self.root("lake.root");
        if matches!(root, LakeRoot::Folder(_)) {
            for path in ["lake.region", "lake.endpoint", "lake.kms_key"] {
                self.useless(path, "`lake.root` is a folder");
            }
        }
        let endpoint = self.url("lake.endpoint");
        let (region, kms_key) = (self.some("lake.region"), self.some("lake.kms_key"));
        let memory = self.size("lake.memory", ByteSize::mib(64));
        let vacuum_after = self.duration("lake.vacuum_after", Duration::from_secs(1));
        Lake { root, region, endpoint, kms_key, memory, vacuum_after }
    }

    fn recovery(&mut self) -> Recovery {
        let replica = self.some("recovery.replica").map(|_| self.root("recovery.replica"));
        if !matches!(replica, Some(LakeRoot::S3(_))) {
            self.useless("recovery.replica_region", "`recovery.replica` is no bucket");
        }
        let replica_region = self.some("recovery.replica_region");
        let (rto, rpo) = (self.objective("recovery.rto"), self.objective("recovery.rpo"));
        Recovery { rto, rpo, replica, replica_region }
    }

    fn lineage(&mut self) -> Lineage {
        let (file, url) = (self.some("lineage.file"), self.some("lineage.url"));
        if url.is_none() {
            self.useless("lineage.api_key", "`lineage.url` names no receiver");
            if file.is_none() {
                self.useless("lineage.namespace", "neither `lineage.file` nor `lineage.url` takes events");
            }
        }
        let url = url.map(|text| {
            if text.contains('@') {
                self.bad("lineage.url", "it holds a user", "give the receiver's token as `lineage.api_key`");
            } else if !["${", "http://", "https://"].iter().any(|start| text.starts_with(start)) {
                self.bad("lineage.url", "it is no URL", "write a URL such as `https://marquez.example.com`");
            }
            self.secret_text("lineage.url")
        });
        let api_key = self.some("lineage.api_key").map(|_| self.secret_text("lineage.api_key"));
        Lineage { file: file.map(Into::into), url, api_key, namespace: self.some("lineage.namespace") }
    }

    fn catalog(&mut self) -> Catalog {
        if self.text("catalog.target") != "glue" {
            for path in ["catalog.database", "catalog.region", "catalog.endpoint"] {
                self.useless(path, "the catalog is embedded");
            }
            if self.text("catalog.target") != "embedded" {
                let reason = format!("`{}` is not allowed", self.text("catalog.target"));
                self.bad("catalog.target", reason, "use `embedded` or `glue`");
            }
            return Catalog::Embedded;
        }
        if !self.text("lake.root").starts_with("s3://") {
            let fix = "set `lake.root` to `s3://bucket/prefix`, or leave the catalog embedded";
            self.bad("catalog.target", "Glue's readers cannot read a lake in a folder", fix);
        }
        let database = self.some("catalog.database");
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if database.as_ref().is_some_and(|name| !name.bytes().all(allowed) || name.len() > 200) {
            let fix = "use lower-case letters, digits and `_`, 200 at most: Athena knows no others";
            self.bad("catalog.database", "it cannot begin a database's name", fix);
        }
        let region = self.some("catalog.region").or_else(|| self.some("lake.region"));
        Catalog::Glue { database, region, endpoint: self.url("catalog.endpoint") }
    }

    /// A setting without a default.
    fn some(&self, path: &str) -> Option<String> {
        self.setting(path).map(|setting| setting.value.clone()).filter(|text| !text.is_empty())
    }

    /// A folder or a bucket that holds a lake.
    fn root(&mut self, path: &str) -> LakeRoot {
        const FIX: &str = "use a folder or `s3://bucket/prefix`";
        let text = self.text(path);
        match text.split_once("://") {
            Some(("s3", rest)) if !rest.is_empty() && !rest.starts_with('/') => return LakeRoot::S3(text),
            Some((scheme, _)) => self.bad(path, format!("`{scheme}://` is no place for a lake"), FIX),
            None if text.is_empty() => self.bad(path, "it is empty", FIX),
            None => return LakeRoot::Folder(text.into()),
        }
        LakeRoot::Folder("lake".into())
    }
}

fn is_host_and_port(text: &str) -> bool {
    text.trim()
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}

/// A password or key that is written out: a secret client key without a reference, or `user:password@`.
fn holds_plain_secret(path: &str, text: &str) -> bool {
    let secret_key = path == "lineage.api_key"
        || path.starts_with("stream.client.")
            && ["password", "secret", "ssl.key.pem", "jaas"].iter().any(|word| path.contains(word));
    let user =
        text.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(user, _)| without_references(user));
    let url_password = user.is_some_and(|user| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()));
    (secret_key && !text.starts_with("${")) || url_password
}

fn without_references(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once("${") {
        out.push_str(before);
        rest = reference.split_once('}').map_or("", |(_, after)| after);
    }
    out + rest
}
