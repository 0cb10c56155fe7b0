//! Clauses B50 to B52: services can be started in some order.

use super::{ensure, once};
use crate::Manifest;
use crate::ServiceName;
use crate::error::{Refused, Rule};
use crate::manifest::{Condition, Restart, Service};

const EXISTS: Rule = Rule {
    clause: "B50",
    text: "a service depends on other services of the app, on each once",
};
const CAN_BE_MET: Rule = Rule {
    clause: "B51",
    text: "who waits for a healthy service needs one with a health check, and who waits for the \
           end of a service needs one that is not always restarted",
};
const ACYCLIC: Rule = Rule {
    clause: "B52",
    text: "services do not depend on each other in a circle",
};

pub(super) fn check(manifest: &Manifest) -> Result<(), Refused> {
    for service in &manifest.services {
        once(
            &service.depends_on,
            |d| &d.service,
            EXISTS,
            |name| format!("service {}, dependency {name}", service.name),
        )?;
        for dependency in &service.depends_on {
            let place = || {
                format!(
                    "service {}, dependency {}",
                    service.name, dependency.service
                )
            };
            let other = find(manifest, &dependency.service).filter(|o| o.name != service.name);
            ensure(other.is_some(), EXISTS, place)?;
            let can_be_met = other.is_some_and(|other| match dependency.condition {
                Condition::Started => true,
                Condition::Healthy => other.health.is_some(),
                Condition::CompletedSuccessfully => other.restart != Restart::Always,
            });
            ensure(can_be_met, CAN_BE_MET, place)?;
        }
    }
    acyclic(manifest)
}

/// Takes away services whose dependencies are all gone (Kahn's algorithm); what cannot be taken
/// away is on a circle, or behind one.
fn acyclic(manifest: &Manifest) -> Result<(), Refused> {
    let mut left: Vec<&Service> = manifest.services.iter().collect();
    loop {
        let names: Vec<&ServiceName> = left.iter().map(|service| &service.name).collect();
        let before = left.len();
        left.retain(|service| {
            service
                .depends_on
                .iter()
                .any(|dependency| names.contains(&&dependency.service))
        });
        match left.first() {
            None => return Ok(()),
            Some(stuck) if left.len() == before => {
                return ensure(false, ACYCLIC, || format!("service {}", stuck.name));
            }
            Some(_) => {}
        }
    }
}

fn find<'a>(manifest: &'a Manifest, name: &ServiceName) -> Option<&'a Service> {
    manifest
        .services
        .iter()
        .find(|service| service.name == *name)
}
