//! What this process has used, as Linux counts it.

use std::fs::read_to_string;
use std::io::{Error, Result};

/// CPU seconds and bytes given to `write` since the start.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    /// Of all threads, in user mode and in the kernel's.
    pub cpu_seconds: f64,
    /// To files, pipes and sockets.
    pub bytes_written: u64,
}

/// What was used until now.
pub fn used() -> Result<Used> {
    let stat = read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).ok_or_else(|| odd("no CPU time"));
    // utime and stime, the 14th and 15th field, in hundredths of a second on every Linux that Weir runs on.
    let cpu_seconds = (ticks(11)? + ticks(12)?) / 100.0;
    let io = read_to_string("/proc/self/io")?;
    let written = io.lines().find_map(|line| line.strip_prefix("wchar: ")).ok_or_else(|| odd("no count of writes"))?;
    Ok(Used { cpu_seconds, bytes_written: written.parse().map_err(odd)? })
}

/// Lets [`peak_rss_mb`] start anew.
pub fn reset_peak() {
    // Where it is not allowed, the peak is that of the whole process: higher, never lower.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// Most memory that was in use at once, in MiB.
pub fn peak_rss_mb() -> Result<u64> {
    let status = read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or_else(|| odd("no peak"))?;
    let kb: u64 = line.trim().trim_end_matches(" kB").trim().parse().map_err(odd)?;
    Ok(kb / 1024)
}

fn odd(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::other(what)
}
