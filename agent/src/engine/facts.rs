//! What a check-in says of this device and its apps (clause D30).
//!
//! Costs nothing while nothing happens: the runtime is asked only while an update is under way,
//! and a head is verified once for each generation. Never changes anything.

use std::fs;
use std::path::Path;

use agent_core::{AppState, Generation, Phase};
use bundle::{Arch, Digest, Label, ServiceName, VersionLabel};
use relay_api::device::{AppFacts, CheckIn, DeviceFacts, Running, ServiceFacts, ServiceState};

use super::Engine;
use super::admit::agent_version;
use super::app::App;
use super::failure;
use super::generation::Loaded;
use super::ours::find;
use super::status::{app_phase, service_state};
use crate::api::Failure;

/// What is said of a committed generation, as its signed head has it.
#[derive(Clone)]
pub(super) struct Known {
    generation: Generation,
    version: VersionLabel,
    services: Vec<(ServiceName, Digest)>,
}

impl Known {
    fn of(loaded: &Loaded) -> Self {
        Self {
            generation: loaded.generation,
            version: loaded.manifest().version.clone(),
            services: loaded
                .services()
                .map(|(_, service)| (service.service.name.clone(), service.image))
                .collect(),
        }
    }
}

impl Engine {
    /// What this device is.
    ///
    /// # Errors
    /// [`Failure`] if no bundle can be for such a machine.
    pub(super) fn device_facts(&self) -> Result<DeviceFacts, Failure> {
        let config = &self.config;
        let label = |text: &String| Label::new(text).ok();
        Ok(DeviceFacts {
            agent: agent_version(),
            arch: Arch::native().ok_or_else(failure::no_arch)?,
            fleet: config.fleet.clone(),
            class: config.device_class.clone(),
            time_zone: config.time_zone.clone().or_else(system_zone),
            labels: config
                .labels
                .iter()
                .filter_map(|(name, value)| Some((label(name)?, label(value)?)))
                .collect(),
        })
    }

    /// What the next check-in says.
    ///
    /// # Errors
    /// As [`Engine::device_facts`].
    pub(super) async fn check_in_message(&self, wait_s: u16) -> Result<CheckIn, Failure> {
        let all: Vec<_> = self.apps.borrow().values().cloned().collect();
        let mut apps = Vec::new();
        for app in all {
            let state = app.state();
            // An app that was only ever refused is not on this device.
            if state != AppState::new(app.name.clone()) {
                apps.push(self.app_facts(&app, &state).await);
            }
        }
        Ok(CheckIn {
            facts: self.device_facts()?,
            apps,
            seen: self.link.look(|record| record.revision).unwrap_or(0),
            wait_s,
        })
    }

    async fn app_facts(&self, app: &App, state: &AppState) -> AppFacts {
        let known = state.current.and_then(|current| self.known(app, current));
        let running = state
            .current
            .zip(known.as_ref())
            .map(|(current, known)| Running {
                version: known.version.clone(),
                seq: current.seq,
                bundle: current.bundle,
                generation: current.id.0,
            });
        let services = match &known {
            None => Vec::new(),
            Some(known) if state.phase == Phase::Idle => watched(app, known),
            Some(known) => self.seen(app, known).await,
        };
        let count = known.as_ref().map(|known| known.services.len());
        AppFacts {
            app: app.name.clone(),
            phase: app_phase(state, count),
            running,
            previous_seq: state
                .current
                .and(state.previous)
                .map(|previous| previous.seq),
            services,
        }
    }

    fn known(&self, app: &App, current: Generation) -> Option<Known> {
        let found = self.link.known.borrow().get(&app.name).cloned();
        if let Some(known) = found.filter(|known| known.generation == current) {
            return Some(known);
        }
        let known = Known::of(&*self.load(current).ok()?);
        let mut all = self.link.known.borrow_mut();
        all.insert(app.name.clone(), known.clone());
        Some(known)
    }

    /// The services of the committed generation while another one is on its way.
    async fn seen(&self, app: &App, known: &Known) -> Vec<ServiceFacts> {
        let containers = self.ours(&app.name).await.unwrap_or_default();
        let Ok(loaded) = self.load(known.generation) else {
            return Vec::new();
        };
        let services = loaded.services().map(|(_, service)| {
            let container = find(&containers, service);
            let watched = container.and_then(|container| app.supervisor.find(&container.id));
            let restarting = watched.as_ref().is_some_and(|w| w.restarting.get());
            ServiceFacts {
                service: service.service.name.clone(),
                image: service.image,
                state: service_state(container, restarting),
                healthy: watched.as_ref().and_then(|w| w.healthy.get()),
                restarts: watched.as_ref().map_or(0, |w| w.restarts.get()),
            }
        });
        services.collect()
    }
}

/// The services of an app at rest, as supervision knows them.
fn watched(app: &App, known: &Known) -> Vec<ServiceFacts> {
    let services = known.services.iter().enumerate();
    services
        .map(|(place, (service, image))| {
            let watched = app.supervisor.at(place);
            let watched = watched.as_deref();
            ServiceFacts {
                service: service.clone(),
                image: *image,
                state: watched.map_or(ServiceState::Created, |w| w.state()),
                healthy: watched.and_then(|w| w.healthy.get()),
                restarts: watched.map_or(0, |w| w.restarts.get()),
            }
        })
        .collect()
}

/// The system's time zone, an IANA name, if it has one.
fn system_zone() -> Option<String> {
    let link = fs::read_link("/etc/localtime").ok();
    let linked = link.as_deref().and_then(zone_in);
    linked.or_else(|| {
        let named = fs::read_to_string("/etc/timezone").ok()?;
        zone(named.trim())
    })
}

/// The zone that a link into the time zone database leads to.
fn zone_in(link: &Path) -> Option<String> {
    let (_, name) = link.to_str()?.split_once("/zoneinfo/")?;
    zone(name)
}

fn zone(name: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+');
    ((1..=64).contains(&name.len()) && name.bytes().all(fits)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_found_behind_the_link() {
        for (link, wanted) in [
            ("/usr/share/zoneinfo/Europe/Rome", Some("Europe/Rome")),
            ("../usr/share/zoneinfo/Etc/UTC", Some("Etc/UTC")),
            ("/usr/share/zoneinfo/", None),
            ("/etc/zone", None),
            ("/usr/share/zoneinfo/a b", None),
        ] {
            assert_eq!(zone_in(Path::new(link)).as_deref(), wanted, "{link}");
        }
    }
}
