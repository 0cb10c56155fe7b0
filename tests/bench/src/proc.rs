//! What processes have taken so far, from `/proc`.
//!
//! Never signals a process.

use std::fs;

use anyhow::{Context, Result};

/// Ticks of a second in `/proc/PID/stat`: 100 on every architecture that we build for (proc(5),
/// `USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds that these processes have taken, in user space and in the kernel, all threads.
///
/// # Errors
/// If one of them has ended.
pub(crate) fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    let mut ticks = 0;
    for pid in pids {
        ticks += ticks_of(&read(*pid, "stat")?).context("/proc/PID/stat")?;
    }
    Ok(f64::from(ticks) / TICKS_PER_SECOND)
}

/// Bytes of memory that these processes have now (`VmRSS`).
///
/// # Errors
/// If one of them has ended.
pub(crate) fn rss_bytes(pids: &[u32]) -> Result<u64> {
    let mut bytes = 0;
    for pid in pids {
        bytes += rss_of(&read(*pid, "status")?).context("/proc/PID/status")?;
    }
    Ok(bytes)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("{path}: has the server ended?"))
}

fn ticks_of(stat: &str) -> Option<u32> {
    // The second field, the program's name, may hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let utime: u32 = fields.next()?.parse().ok()?;
    let stime: u32 = fields.next()?.parse().ok()?;
    Some(utime + stime)
}

fn rss_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_moves_no_field() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 121 0 3 0 250 31 0 0 20 0 3 0 99 1 2 3";
        assert_eq!(ticks_of(stat), Some(281));
        assert_eq!(ticks_of("7 (relay) S 1"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(
            rss_of("VmHWM:\t  9 kB\nVmRSS:\t    2048 kB\n"),
            Some(2 << 20)
        );
    }

    #[test]
    fn our_own_process_can_be_read() {
        let own = [std::process::id()];
        assert!(rss_bytes(&own).unwrap() > 100_000);
        assert!(cpu_seconds(&own).is_ok());
    }
}
