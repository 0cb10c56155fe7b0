//! The figures of a run: arithmetic and a table.

use std::fmt;

use serde::Serialize;

use super::client::{Measured, Waited};

const GIB: f64 = (1u64 << 30) as f64;

/// How fast something goes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rate {
    /// In a second, with the client on the same machine.
    per_second: f64,
    /// In a second of the server's CPU time.
    per_cpu_second: f64,
}

/// How many times as much one does per CPU second as another, which was measured in turns with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Pair {
    /// Over all rounds.
    ratio: f64,
    /// In the worst round.
    ratio_min: f64,
    /// In the best round.
    ratio_max: f64,
}

impl Pair {
    /// Of rounds that belong together.
    pub(super) fn ratio(one: &[Measured], other: &[Measured]) -> Self {
        let rate = |rounds: &[Measured]| total(rounds).per_cpu_second;
        let rounds = one.iter().zip(other);
        let ratios: Vec<f64> = rounds.map(|(a, b)| rate(&[*a]) / rate(&[*b])).collect();
        Self {
            ratio: rate(one) / rate(other),
            ratio_min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratio_max: ratios.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// The rate over several rounds.
pub(super) fn total(rounds: &[Measured]) -> Rate {
    let sum = |part: fn(&Measured) -> f64| rounds.iter().map(part).sum::<f64>();
    let count = sum(|round| round.count as f64);
    Rate {
        per_second: count / sum(|round| round.seconds),
        per_cpu_second: count / sum(|round| round.cpu_seconds),
    }
}

/// What waiting devices take.
#[derive(Debug, Serialize)]
pub(super) struct Waiting {
    devices: u64,
    rss_bytes_before: u64,
    rss_bytes_during: u64,
    bytes_per_device: f64,
    devices_per_gib: f64,
}

impl Waiting {
    /// From what the client saw.
    pub(super) fn new(waited: &Waited) -> Self {
        let more = waited
            .rss_bytes_during
            .saturating_sub(waited.rss_bytes_before);
        let bytes_per_device = more as f64 / waited.devices as f64;
        Self {
            devices: waited.devices,
            rss_bytes_before: waited.rss_bytes_before,
            rss_bytes_during: waited.rss_bytes_during,
            bytes_per_device,
            devices_per_gib: GIB / bytes_per_device,
        }
    }
}

/// All of a run. The names are those of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// Of each round.
    pub(super) seconds: u64,
    pub(super) rounds: usize,
    pub(super) connections: usize,
    pub(super) devices: usize,
    /// Its version.
    pub(super) nginx: String,
    pub(super) check_in: Rate,
    pub(super) relay_get: Rate,
    pub(super) nginx_get: Rate,
    pub(super) relay_handshake: Rate,
    pub(super) nginx_handshake: Rate,
    /// On one core, without a server.
    pub(super) ed25519_verify: Rate,
    pub(super) check_in_to_relay_get: Pair,
    pub(super) check_in_to_nginx_get: Pair,
    pub(super) relay_get_to_nginx_get: Pair,
    pub(super) relay_handshake_to_nginx: Pair,
    pub(super) waiting: Waiting,
    pub(super) relay_binary_bytes: u64,
    pub(super) relay_idle_rss_bytes: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nginx = format!("nginx {}", self.nginx);
        writeln!(
            f,
            "relay, {} devices, {} connections, TLS 1.3, {} rounds of {} s\n",
            self.devices, self.connections, self.rounds, self.seconds
        )?;
        writeln!(f, "{:38}{:>12}{:>18}", "", "per second", "per CPU second")?;
        for (name, rate) in [
            ("check-in, signed and stored", self.check_in),
            ("GET /healthz of the same relay", self.relay_get),
            (&format!("GET of a constant, {nginx}"), self.nginx_get),
            ("fresh handshake, relay", self.relay_handshake),
            (&format!("fresh handshake, {nginx}"), self.nginx_handshake),
            ("Ed25519 verification alone", self.ed25519_verify),
        ] {
            let (second, cpu) = (rate.per_second, rate.per_cpu_second);
            writeln!(f, "{name:38}{second:>12.0}{cpu:>18.0}")?;
        }
        writeln!(
            f,
            "\n{:38}{:>12}{:>18}",
            "per CPU second", "ratio", "of the rounds"
        )?;
        for (name, pair) in [
            ("check-in / the relay's no-op", self.check_in_to_relay_get),
            ("check-in / nginx", self.check_in_to_nginx_get),
            ("the relay's no-op / nginx", self.relay_get_to_nginx_get),
            ("handshakes, relay / nginx", self.relay_handshake_to_nginx),
        ] {
            let spread = format!("{:.2} to {:.2}", pair.ratio_min, pair.ratio_max);
            writeln!(f, "{name:38}{:>12.2}{spread:>18}", pair.ratio)?;
        }
        let waiting = &self.waiting;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "\n{} devices wait: RSS {:.1} MiB before, {:.1} MiB during; {:.1} KiB each, {:.0} in a GiB",
            waiting.devices,
            mib(waiting.rss_bytes_before),
            mib(waiting.rss_bytes_during),
            waiting.bytes_per_device / 1024.0,
            waiting.devices_per_gib
        )?;
        writeln!(
            f,
            "binary {:.2} MiB, RSS at rest {:.1} MiB",
            mib(self.relay_binary_bytes),
            mib(self.relay_idle_rss_bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(count: u64, cpu_seconds: f64) -> Measured {
        Measured {
            count,
            seconds: 2.0,
            cpu_seconds,
        }
    }

    #[test]
    fn rates_are_over_all_rounds() {
        let rate = total(&[round(100, 1.0), round(300, 1.0)]);
        assert_eq!((rate.per_second, rate.per_cpu_second), (100.0, 200.0));
    }

    #[test]
    fn a_ratio_is_per_cpu_second_with_its_spread() {
        let (one, other) = ([round(100, 1.0), round(300, 1.0)], [round(200, 1.0); 2]);
        let pair = Pair::ratio(&one, &other);
        assert_eq!(
            (pair.ratio, pair.ratio_min, pair.ratio_max),
            (1.0, 0.5, 1.5)
        );
    }

    #[test]
    fn a_device_takes_what_the_memory_has_grown_by() {
        let waiting = Waiting::new(&Waited {
            devices: 1024,
            rss_bytes_before: 16 << 20,
            rss_bytes_during: 32 << 20,
        });
        assert_eq!(waiting.bytes_per_device, 16384.0);
        assert_eq!(waiting.devices_per_gib, 65536.0);
    }
}
