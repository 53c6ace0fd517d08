//! The machine and the programs that were measured on it.

use crate::error::BenchError;
use crate::process::{first_line, pause};
use crate::stats::float;
use serde::Serialize;
use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where a run took place.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    docker: String,
    storage_driver: String,
    openssl: String,
    docker_compose: String,
    nginx: String,
}

impl Machine {
    /// Looks at this machine. What cannot be found out is an empty text.
    pub(crate) fn look() -> Self {
        let cpuinfo = fs_err::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs_err::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let ask = |program: &str, args: &[&str]| first_line(Command::new(program).args(args));
        Self {
            cpu: value(&cpuinfo, "model name").to_owned(),
            cores: cores(),
            memory_gib: kibibytes(&meminfo, "MemTotal") / f64::from(1 << 20),
            kernel: kernel.trim().to_owned(),
            docker: ask("docker", &["version", "--format", "{{.Server.Version}}"]),
            storage_driver: ask("docker", &["info", "--format", "{{.Driver}}"]),
            openssl: words(&ask("openssl", &["version"]), 2),
            docker_compose: words(&ask("docker-compose", &["--version"]), 3).replace(',', ""),
            nginx: ask("nginx", &["-v"]).replace("nginx version: ", ""),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores of {}, {:.0} GiB of memory, Linux {}, Docker {} ({}); {}, {}, {}",
            self.cores,
            self.cpu,
            self.memory_gib,
            self.kernel,
            self.docker,
            self.storage_driver,
            self.openssl,
            self.docker_compose,
            self.nginx
        )
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// `VALUE` of the first line `name : VALUE`.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or("", |(_, value)| value.trim())
}

/// Kibibytes of a line `name: 123 kB`.
pub(crate) fn kibibytes(text: &str, name: &str) -> f64 {
    value(text, name).split(' ').next().and_then(|number| number.parse().ok()).map_or(0.0, float)
}

fn words(text: &str, count: usize) -> String {
    text.split(' ').take(count).collect::<Vec<_>>().join(" ")
}

/// Share of the cores' time that is idle, over one second.
fn idle_share() -> Result<f64, BenchError> {
    let before = times();
    pause(Duration::from_secs(1))?;
    let after = times();
    let (all, idle) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    Ok(if all == 0 { 0.0 } else { float(idle) / float(all) })
}

/// All ticks and idle ticks of all cores together (`proc_stat(5)`).
fn times() -> (u64, u64) {
    fs_err::read_to_string("/proc/stat").map_or((0, 0), |text| read_times(&text))
}

fn read_times(stat: &str) -> (u64, u64) {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    // user nice system idle iowait irq softirq steal; what follows is counted in user already.
    let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|tick| tick.parse().ok()).collect();
    (ticks.iter().sum(), ticks.iter().skip(3).take(2).sum())
}

/// The share from which a machine counts as idle.
pub(crate) const IDLE: f64 = 0.9;

/// Waits until [`IDLE`] of the machine have nothing to do, at most `limit`; gives the last share seen.
pub(crate) fn wait_idle(limit: Duration) -> Result<f64, BenchError> {
    let start = Instant::now();
    loop {
        let share = idle_share()?;
        if share >= IDLE || start.elapsed() >= limit {
            return Ok(share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_proc_are_read() {
        let text = "processor\t: 0\nmodel name\t: Fast CPU\nmodel name\t: other\nMemTotal:   2048 kB\n";
        assert_eq!(value(text, "model name"), "Fast CPU");
        assert_eq!(value(text, "absent"), "");
        assert!((kibibytes(text, "MemTotal") - 2048.0).abs() < 1e-9);
    }

    #[test]
    fn waiting_for_disks_counts_as_idle_and_stolen_time_does_not() {
        assert_eq!(read_times("cpu  10 1 5 70 10 1 1 2 99 99\ncpu0 1 1 1 1\n"), (100, 80));
        assert_eq!(read_times(""), (0, 0));
    }
}
