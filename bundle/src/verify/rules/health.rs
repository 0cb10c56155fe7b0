//! Clause B48: health checks can be run.

use super::ensure;
use crate::error::{Refused, Rule};
use crate::limits::HEALTH_MS_MAX;
use crate::manifest::{NetworkMode, Probe, Service};

const TIMES: Rule = Rule {
    clause: "B48",
    text: "a health check's interval and timeout are 1 ms to a day, its start period at most a \
           day, its retries not 0",
};
const PROBE: Rule = Rule {
    clause: "B49",
    text: "a health check has a command, or a port that is not 0 and a network to reach it by, \
           and its path begins with '/' and is one printable word",
};

pub(super) fn check_service(service: &Service) -> Result<(), Refused> {
    let Some(health) = &service.health else {
        return Ok(());
    };
    let place = || format!("service {}", service.name);
    let times = (1..=HEALTH_MS_MAX).contains(&health.interval_ms)
        && (1..=HEALTH_MS_MAX).contains(&health.timeout_ms)
        && health.start_period_ms <= HEALTH_MS_MAX
        && health.retries > 0;
    ensure(times, TIMES, place)?;
    let reachable = service.network != NetworkMode::None;
    let sound = match &health.probe {
        Probe::Exec(command) => command.first().is_some_and(|program| !program.is_empty()),
        Probe::Http { port, path } => {
            reachable
                && *port != 0
                && path.starts_with('/')
                && path.chars().all(|c| c.is_ascii_graphic())
        }
        Probe::Tcp { port } => reachable && *port != 0,
    };
    ensure(sound, PROBE, place)
}
