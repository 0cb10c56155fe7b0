//! The state of the fake: its store, its containers, its clock.
//!
//! Synchronous and without faults; those are laid over it by `runtime.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::rc::Rc;
use std::task::Waker;

use bundle::manifest::NetworkMode;
use bundle::{AppName, Digest, Utc};

use super::fault::{Armed, Call};
use super::script::{Act, Script};
use crate::{
    Container, ContainerId, ContainerSpec, ContainerState, ExitStatus, ImageImport, LogLine,
    RuntimeError, RuntimeEvent, RuntimeEventKind, Stream, labels,
};

/// What the process of a container that was told to stop gives.
const STOPPED: ExitStatus = ExitStatus {
    code: 0,
    oom_killed: false,
};
/// What a killed process gives: 128 + SIGKILL.
pub(super) const KILLED: ExitStatus = ExitStatus {
    code: 137,
    oom_killed: false,
};

pub(super) struct World {
    pub(super) now: u64,
    pub(super) store: PathBuf,
    pub(super) calls: Vec<Call>,
    pub(super) faults: Vec<Rc<Armed>>,
    pub(super) scripts: Vec<Script>,
    pub(super) layers: BTreeSet<Digest>,
    pub(super) images: BTreeMap<Digest, Image>,
    /// Name to app.
    pub(super) networks: BTreeMap<String, String>,
    /// Name to app.
    pub(super) volumes: BTreeMap<String, String>,
    pub(super) containers: BTreeMap<ContainerId, Kept>,
    pub(super) events: Vec<RuntimeEvent>,
    next: u32,
    wakers: Vec<Waker>,
}

pub(super) struct Image {
    pub(super) names: BTreeSet<String>,
    pub(super) layers: Vec<Digest>,
}

pub(super) struct Kept {
    pub(super) container: Container,
    /// None: it is not Coracle's.
    pub(super) spec: Option<ContainerSpec>,
    pub(super) log: Vec<(u64, LogLine)>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            now: 1_700_000_000,
            store: PathBuf::from("/fake"),
            calls: Vec::new(),
            faults: Vec::new(),
            scripts: Vec::new(),
            layers: BTreeSet::new(),
            images: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            containers: BTreeMap::new(),
            events: Vec::new(),
            next: 0,
            wakers: Vec::new(),
        }
    }
}

impl World {
    pub(super) fn wake_later(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    /// Lets everybody who waits look again.
    pub(super) fn changed(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn event(&mut self, container: &ContainerId, kind: RuntimeEventKind) {
        self.events.push(RuntimeEvent {
            container: container.clone(),
            kind,
        });
    }

    // --- images

    pub(super) fn store_image(&mut self, image: &ImageImport) {
        let layers: Vec<_> = image.layers.iter().map(|(digest, _)| *digest).collect();
        self.layers.extend(&layers);
        let kept = self.images.entry(image.id).or_insert(Image {
            names: BTreeSet::new(),
            layers,
        });
        kept.names.insert(image.name.clone());
    }

    pub(super) fn lose_image(&mut self, id: &Digest) -> bool {
        let lost = self.images.remove(id);
        let used: BTreeSet<_> = self
            .images
            .values()
            .flat_map(|i| i.layers.iter().copied())
            .collect();
        self.layers.retain(|layer| used.contains(layer));
        lost.is_some()
    }

    pub(super) fn remove_image(&mut self, id: &Digest) -> Result<(), RuntimeError> {
        let user = self
            .containers
            .values()
            .find(|kept| kept.container.image == Some(*id));
        if let Some(user) = user {
            return Err(RuntimeError::Conflict(user.container.name.clone()));
        }
        self.lose_image(id);
        Ok(())
    }

    // --- networks and volumes

    pub(super) fn network_in_use(&self, name: &str) -> bool {
        self.specs().any(|spec| match &spec.service.network {
            NetworkMode::Bridge(attachments) => attachments
                .iter()
                .any(|a| ContainerSpec::network_name(&spec.app, &a.network) == name),
            _ => false,
        })
    }

    pub(super) fn volume_in_use(&self, name: &str) -> bool {
        self.specs().any(|spec| {
            let mut volumes = spec.service.volumes.iter();
            volumes.any(|v| ContainerSpec::volume_name(&spec.app, &v.volume) == name)
        })
    }

    fn specs(&self) -> impl Iterator<Item = &ContainerSpec> {
        self.containers
            .values()
            .filter_map(|kept| kept.spec.as_ref())
    }

    // --- containers

    pub(super) fn find(&self, id_or_name: &str) -> Option<&Kept> {
        self.containers
            .values()
            .find(|kept| kept.container.id.0 == id_or_name || kept.container.name == id_or_name)
    }

    pub(super) fn get(&mut self, id: &ContainerId) -> Result<&mut Kept, RuntimeError> {
        self.containers.get_mut(id).ok_or(RuntimeError::NotFound)
    }

    pub(super) fn name_of(&self, id: &ContainerId) -> String {
        let kept = self.containers.get(id);
        kept.map_or_else(|| id.0.clone(), |kept| kept.container.name.clone())
    }

    pub(super) fn all(&self) -> Vec<Container> {
        self.containers
            .values()
            .map(|k| k.container.clone())
            .collect()
    }

    pub(super) fn of_app(&self, app: Option<&AppName>) -> Vec<Container> {
        let mut out = self.all();
        out.retain(|container| match (container.label(labels::APP), app) {
            (Some(label), Some(app)) => label == app.as_str(),
            (label, _) => label.is_some(),
        });
        out.iter_mut().for_each(|c| c.addresses.clear());
        out
    }

    pub(super) fn running_of(&self, app: &str, service: &str) -> Vec<ContainerId> {
        let fits = |kept: &&Kept| {
            kept.container.label(labels::APP) == Some(app)
                && kept.container.label(labels::SERVICE) == Some(service)
                && is_running(kept)
        };
        let found = self.containers.values().filter(fits);
        found.map(|kept| kept.container.id.clone()).collect()
    }

    pub(super) fn add_foreign(&mut self, name: &str) {
        let n = self.number();
        let id = ContainerId(format!("{n:064x}"));
        let container = Container {
            id: id.clone(),
            name: name.to_owned(),
            labels: BTreeMap::new(),
            image: None,
            state: ContainerState::Running { pid: 1000 + n },
            started_at: Some(self.now),
            addresses: Vec::new(),
        };
        let kept = Kept {
            container,
            spec: None,
            log: Vec::new(),
        };
        self.containers.insert(id, kept);
    }

    pub(super) fn create(&mut self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        if let Some(kept) = self.find(&spec.name) {
            let same = |key| kept.container.label(key) == spec.labels.get(key).map(String::as_str);
            return if same(labels::SPEC) && same(labels::GENERATION) {
                Ok(kept.container.id.clone())
            } else {
                Err(RuntimeError::Conflict(spec.name.clone()))
            };
        }
        if !self.images.contains_key(&spec.image) {
            return Err(RuntimeError::NotFound);
        }
        if spec.file_sources.len() != spec.service.files.len() {
            return Err(refused("as many file sources as files are needed"));
        }
        // Stricter than podman, which makes volumes on demand, without labels.
        let volumes = spec.service.volumes.iter();
        for name in volumes.map(|v| ContainerSpec::volume_name(&spec.app, &v.volume)) {
            if !self.volumes.contains_key(&name) {
                return Err(RuntimeError::NotFound);
            }
        }
        if let NetworkMode::Bridge(attachments) = &spec.service.network {
            for a in attachments {
                let name = ContainerSpec::network_name(&spec.app, &a.network);
                if !self.networks.contains_key(&name) {
                    return Err(RuntimeError::NotFound);
                }
            }
        }
        let n = self.number();
        let id = ContainerId(format!("{n:064x}"));
        let container = Container {
            id: id.clone(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            image: Some(spec.image),
            state: ContainerState::Created,
            started_at: None,
            addresses: Vec::new(),
        };
        let kept = Kept {
            container,
            spec: Some(spec.clone()),
            log: Vec::new(),
        };
        self.containers.insert(id.clone(), kept);
        self.event(&id, RuntimeEventKind::Created);
        Ok(id)
    }

    pub(super) fn start(&mut self, id: &ContainerId) -> Result<(), RuntimeError> {
        let (now, n) = (self.now, self.number());
        let kept = self.containers.get(id).ok_or(RuntimeError::NotFound)?;
        if is_running(kept) {
            return Ok(());
        }
        if let Some(port) = self.taken_port(kept) {
            return Err(RuntimeError::Conflict(format!(
                "port {port}: address already in use"
            )));
        }
        let labels = kept.container.labels.clone();
        let on_bridge = kept
            .spec
            .as_ref()
            .is_some_and(|s| matches!(s.service.network, NetworkMode::Bridge(_)));
        let scripted = self.act(&labels, |act| match act {
            Act::Addresses(addresses) => Some(addresses.clone()),
            _ => None,
        });
        let [.., high, low] = n.to_be_bytes();
        let default = on_bridge.then_some(IpAddr::V4(Ipv4Addr::new(10, 89, high, low)));
        let kept = self.get(id)?;
        kept.container.state = ContainerState::Running { pid: 1000 + n };
        kept.container.started_at = Some(now);
        kept.container.addresses = scripted.unwrap_or_else(|| default.into_iter().collect());
        self.event(id, RuntimeEventKind::Started);

        let mut lines = Vec::new();
        for script in self.scripts.iter().filter(|script| script.fits(&labels)) {
            if let Act::Print(stream, text) = &script.acts {
                script.armed.fire();
                lines.push((*stream, text.clone()));
            }
        }
        for (stream, text) in lines {
            self.write_line(id, stream, &text);
        }
        let exit = self.act(&labels, |act| match act {
            Act::ExitOnStart(status) => Some(*status),
            _ => None,
        });
        if let Some(status) = exit {
            self.exit(id, status);
        }
        Ok(())
    }

    /// A published port of `kept` that another running container has.
    fn taken_port(&self, kept: &Kept) -> Option<u16> {
        let ports = |kept: &Kept| -> Vec<_> {
            let spec = kept.spec.iter();
            spec.flat_map(|s| s.service.ports.iter().map(|p| (p.host, p.protocol)))
                .collect()
        };
        let mine = ports(kept);
        let others = self.containers.values().filter(|other| is_running(other));
        let taken = others.flat_map(ports).find(|port| mine.contains(port));
        taken.map(|(port, _)| port)
    }

    pub(super) fn stop(&mut self, id: &ContainerId) {
        let Some(kept) = self.containers.get(id) else {
            return;
        };
        let labels = kept.container.labels.clone();
        let stubborn = self.act(&labels, |act| {
            matches!(act, Act::IgnoreStopSignal).then_some(KILLED)
        });
        self.exit(id, stubborn.unwrap_or(STOPPED));
    }

    /// Ends the container's process, if it runs.
    pub(super) fn exit(&mut self, id: &ContainerId, status: ExitStatus) {
        if let Some(kept) = self.containers.get_mut(id).filter(|kept| is_running(kept)) {
            kept.container.state = ContainerState::Exited(status);
            kept.container.addresses.clear();
            self.event(id, RuntimeEventKind::Exited);
        }
    }

    /// As podman has it after a boot: what ran counts as exited, with code 0.
    pub(super) fn end_all(&mut self) {
        for kept in self.containers.values_mut().filter(|kept| is_running(kept)) {
            kept.container.state = ContainerState::Exited(STOPPED);
            kept.container.addresses.clear();
        }
    }

    pub(super) fn remove(&mut self, id: &ContainerId) {
        self.exit(id, KILLED);
        if self.containers.remove(id).is_some() {
            self.event(id, RuntimeEventKind::Removed);
        }
    }

    pub(super) fn write_line(&mut self, id: &ContainerId, stream: Stream, text: &str) {
        let now = self.now;
        if let Some(kept) = self.containers.get_mut(id) {
            let line = LogLine {
                stream,
                at: Utc(now).to_string(),
                text: text.to_owned(),
            };
            kept.log.push((now, line));
        }
    }

    /// What the newest script that fits says.
    pub(super) fn act<T>(
        &self,
        labels: &BTreeMap<String, String>,
        pick: impl Fn(&Act) -> Option<T>,
    ) -> Option<T> {
        let mut fitting = self.scripts.iter().rev().filter(|s| s.fits(labels));
        fitting.find_map(|script| pick(&script.acts).inspect(|_| script.armed.fire()))
    }
}

pub(super) fn is_running(kept: &Kept) -> bool {
    matches!(kept.container.state, ContainerState::Running { .. })
}

fn refused(message: &str) -> RuntimeError {
    RuntimeError::Refused {
        status: 400,
        message: message.to_owned(),
    }
}
