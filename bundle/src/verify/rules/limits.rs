//! Clauses B45 to B47: resource limits, kernel parameters, logs.

use super::{ensure, once};
use crate::error::{Refused, Rule};
use crate::limits::{LOG_BYTES_MAX, LOG_FILES_MAX};
use crate::manifest::Service;

const LIMITS: Rule = Rule {
    clause: "B45",
    text: "a resource limit is not 0, CPU shares are 2 to 262144, and a ulimit is named once, in \
           lower case, its soft limit at most its hard one",
};
const SYSCTL: Rule = Rule {
    clause: "B46",
    text: "a kernel parameter is named once, by letters, digits, '.', '_', '-' and '/'",
};
const LOGGING: Rule = Rule {
    clause: "B47",
    text: "a log has 1 to 100 files of 1 byte to 1 GiB",
};

pub(super) fn check_service(service: &Service) -> Result<(), Refused> {
    let place = || format!("service {}", service.name);
    let limits = &service.limits;
    let sound = limits.memory_bytes != Some(0)
        && limits.cpu_milli != Some(0)
        && limits.pids != Some(0)
        && limits
            .cpu_shares
            .is_none_or(|shares| (2..=262_144).contains(&shares))
        && service.ulimits.iter().all(|ulimit| {
            !ulimit.name.is_empty()
                && ulimit.name.bytes().all(|b| b.is_ascii_lowercase())
                && ulimit.soft <= ulimit.hard
        });
    ensure(sound, LIMITS, place)?;
    once(
        &service.ulimits,
        |u| &u.name,
        LIMITS,
        |name| format!("service {}, ulimit {name:?}", service.name),
    )?;
    let named = service.sysctls.iter().all(|(name, value)| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
            && !value.chars().any(|c| c.is_control() && c != '\t')
    });
    ensure(named, SYSCTL, place)?;
    once(
        &service.sysctls,
        |(name, _)| name,
        SYSCTL,
        |name| format!("service {}, kernel parameter {name:?}", service.name),
    )?;
    let logging = (1..=LOG_BYTES_MAX).contains(&service.logging.bytes_max)
        && (1..=LOG_FILES_MAX).contains(&service.logging.files_max);
    ensure(logging, LOGGING, place)
}
