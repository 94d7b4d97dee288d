//! Samples as a table for people and as JSON.

use crate::system::Run;
use crate::work::Work;

/// One run of one system on one kind of work.
pub struct Sample {
    /// Round, from 0.
    pub round: usize,
    /// Kind of work.
    pub work: &'static str,
    /// Rows that it changed.
    pub rows: u64,
    /// System.
    pub system: &'static str,
    /// What was measured.
    pub run: Run,
}

const SYSTEMS: [&str; 4] = ["native", "pgstream", "pgstream A'", "3 masked"];

/// Smallest, middle and largest of some numbers.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

/// Thousand rows a second, minimum / median / maximum, and the ratio of medians to native.
pub fn table(samples: &[Sample], works: &[Work]) -> String {
    let mut text = format!("\n{:<8}", "krows/s");
    for system in SYSTEMS {
        text.push_str(&format!("{system:>26}"));
    }
    text.push('\n');
    let mut totals = [(0.0, 0.0); SYSTEMS.len()];
    for work in works {
        text.push_str(&format!("{:<8}", work.name));
        let mut native = 0.0;
        for (system, total) in SYSTEMS.into_iter().zip(&mut totals) {
            let of = |sample: &&Sample| sample.work == work.name && sample.system == system;
            let rates = samples
                .iter()
                .filter(of)
                .map(|sample| sample.rows as f64 / sample.run.seconds / 1000.0)
                .collect();
            let (low, middle, high) = spread(rates);
            if system == "native" {
                native = middle;
            }
            total.0 += work.rows as f64;
            total.1 += work.rows as f64 / middle / 1000.0;
            text.push_str(&format!(
                "{:>26}",
                format!("{low:.0}/{middle:.0}/{high:.0} {:.2}x", middle / native)
            ));
        }
        text.push('\n');
    }
    text.push_str(&format!("{:<8}", "all"));
    let native = totals[0].0 / totals[0].1;
    for (rows, seconds) in totals {
        let rate = rows / seconds;
        text.push_str(&format!("{:>26}", format!("{:.0} {:.2}x", rate / 1000.0, rate / native)));
    }
    text.push_str(&format!("\n{:<8}", "peak MiB"));
    for system in SYSTEMS {
        let peak = samples
            .iter()
            .filter(|sample| sample.system == system)
            .map(|sample| sample.run.peak_mib)
            .fold(0.0, f64::max);
        text.push_str(&format!("{peak:>26.0}"));
    }
    text.push_str(
        "\nMinimum / median / maximum; x is the ratio of medians to native. Start-up is included.\n",
    );
    text
}

/// Every sample.
pub fn json(samples: &[Sample]) -> String {
    let samples: Vec<serde_json::Value> = samples
        .iter()
        .map(|sample| {
            serde_json::json!({
                "round": sample.round, "work": sample.work, "rows": sample.rows, "system": sample.system,
                "seconds": sample.run.seconds, "cpu_seconds": sample.run.cpu, "peak_mib": sample.run.peak_mib,
            })
        })
        .collect();
    serde_json::to_string_pretty(&samples).unwrap_or_default()
}
