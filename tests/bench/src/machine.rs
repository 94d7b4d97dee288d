//! What the figures were measured on, and what the kernel says about a process.

use serde_json::{Value, json};

/// Facts without which a figure says little.
pub fn facts(major: u16) -> Value {
    let postgres = testbed::find_installation(major).map(|found| found.version).unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": line("/proc/cpuinfo", "model name").trim_start_matches([':', ' ', '\t']),
        "memory_mib": kib(&line("/proc/meminfo", "MemTotal:")) / 1024.0,
        "system": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "postgres": postgres,
        "load_before": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next(),
    })
}

/// What a process has used.
#[derive(Clone, Copy, Default)]
pub struct Used {
    /// CPU seconds.
    pub cpu: f64,
    /// Memory that it holds, in MiB.
    pub mib: f64,
    /// The most that it has held, in MiB.
    pub peak_mib: f64,
}

/// What this process has used.
pub fn used(pid: u32) -> Used {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let mib = |name| kib(&line(&format!("/proc/{pid}/status"), name)) / 1024.0;
    // Linux counts process times in hundredths of a second.
    Used { cpu: (ticks(11) + ticks(12)) / 100.0, mib: mib("VmRSS:"), peak_mib: mib("VmHWM:") }
}

/// The rest of the first line that starts so.
fn line(path: &str, start: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_default().trim().to_owned()
}

fn kib(text: &str) -> f64 {
    text.trim_end_matches(" kB").trim().parse().unwrap_or(0.0)
}
