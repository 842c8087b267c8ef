//! `recovery:`, as it is written and as it is checked: what a disaster may cost.

use std::time::Duration;

use schemars::JsonSchema;

use crate::settings::LakeRoot;

/// `recovery:`
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "see `WeirFile`")]
pub struct RecoveryFile {
    /// Recovery time objective: how long restoring may take, e.g. `4h`. Left out: any time.
    pub rto: Option<String>,
    /// Recovery point objective: of how long a time events may be lost, e.g. `15m`. Left out: any.
    pub rpo: Option<String>,
    /// Where the lake is copied to, by the bucket's replication or another program: `s3://bucket/prefix`, or a folder
    /// (relative to `--dir`). Weir only reads it.
    pub replica: Option<String>,
    /// Region of the replica's bucket, e.g. `eu-west-1`. Left out: that of the lake.
    pub replica_region: Option<String>,
}

/// `recovery:`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Longest time that restoring what can be rebuilt may take.
    pub rto: Option<Duration>,
    /// Longest time whose events may be lost with the stream or with the lake.
    pub rpo: Option<Duration>,
    /// Where the lake's objects are copied to.
    pub replica: Option<LakeRoot>,
    /// Region of its bucket; none: that of the lake.
    pub replica_region: Option<String>,
}
