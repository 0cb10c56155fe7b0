//! A state that was lost is made again from what is left: stored heads, and containers' labels.
//!
//! What runs is left alone. An app comes back if all of its services run as a stored, signed head
//! defines them; its floors are the highest that any stored head of it had, whether it ran or not.

use std::collections::BTreeMap;
use std::rc::Rc;

use agent_core::{AppState, Generation, GenerationId};
use bundle::{AppName, Digest, TrustStore, Values, VerifiedBundle};
use runtime_shim::Container;

use super::Engine;
use super::generation::{Loaded, load, load_head};
use super::ours::{find, generation_of};
use super::trouble::{LoadError, Trouble};

impl Engine {
    /// Rebuilds the record and makes it durable; if the runtime does not answer, nothing is changed
    /// and the state stays lost.
    pub(crate) async fn rebuild(self: &Rc<Self>) {
        match self.try_rebuild().await {
            Ok(apps) => {
                let mut record = self.state.borrow().record().clone();
                for state in &apps {
                    // More than a record holds cannot have been in the one that was lost.
                    let _ = record.set(state.clone());
                }
                record.clock_floor = record.clock_floor.max(self.newest_issue_time());
                if let Err(error) = self.state.borrow_mut().commit(record) {
                    log::error!("phase=rebuilding cause={error}");
                    return;
                }
                self.lost.set(false);
                for state in apps {
                    log::warn!("app={} phase=rebuilt", state.name);
                    self.add_app(state);
                }
            }
            Err(trouble) => log::error!("phase=rebuilding cause={trouble}"),
        }
    }

    async fn try_rebuild(&self) -> Result<Vec<AppState>, Trouble> {
        let found = self.runtime.containers(None).await;
        let mut containers = found.map_err(Trouble::runtime("list the containers"))?;
        containers.retain(|container| self.is_ours(container));
        let trust = TrustStore::load(&self.config.keys_dir).map_err(LoadError::Trust)?;
        let names = self
            .objects
            .names()
            .map_err(Trouble::file("the stored objects"))?;
        let mut heads: BTreeMap<AppName, Vec<VerifiedBundle>> = BTreeMap::new();
        for head in names
            .iter()
            .filter_map(|name| load_head(&self.objects, &trust, name).ok())
        {
            heads
                .entry(head.manifest().app.clone())
                .or_default()
                .push(head);
        }
        let values: Vec<Digest> = names
            .iter()
            .filter(|name| self.is_values(name))
            .copied()
            .collect();
        let rebuilt = heads.into_iter().map(|(app, heads)| {
            let mut state = AppState::new(app);
            let of_app: Vec<Container> = containers
                .iter()
                .filter(|c| c.label(runtime_shim::labels::APP) == Some(state.name.as_str()))
                .cloned()
                .collect();
            let newest = of_app.iter().map(generation_of).max().unwrap_or(0);
            state.next_generation = GenerationId(newest.saturating_add(1));
            state.seq_floor = heads
                .iter()
                .map(|head| head.manifest().seq)
                .max()
                .unwrap_or(0);
            state.epoch_floor = heads
                .iter()
                .map(|head| head.manifest().epoch)
                .max()
                .unwrap_or(0);
            let candidates = heads
                .iter()
                .flat_map(|head| values.iter().map(move |values| (head, values)));
            state.current = candidates
                .filter_map(|(head, values)| self.candidate(&trust, head, values, newest))
                .filter(|loaded| runs_whole(loaded, &of_app))
                .max_by_key(|loaded| loaded.generation.seq)
                .map(|loaded| loaded.generation);
            state
        });
        Ok(rebuilt.collect())
    }

    fn candidate(
        &self,
        trust: &TrustStore,
        head: &VerifiedBundle,
        values: &Digest,
        id: u32,
    ) -> Option<Loaded> {
        let generation = Generation {
            id: GenerationId(id.max(1)),
            seq: head.manifest().seq,
            epoch: head.manifest().epoch,
            bundle: head.digest(),
            variables: *values,
        };
        load(&self.objects, trust, generation).ok()
    }

    fn is_values(&self, name: &Digest) -> bool {
        let content = self.objects.get_content(name).ok().flatten();
        content.is_some_and(|bytes| Values::decode(&bytes).is_ok())
    }

    fn newest_issue_time(&self) -> u64 {
        let Ok(trust) = TrustStore::load(&self.config.keys_dir) else {
            return 0;
        };
        let names = self.objects.names().unwrap_or_default();
        let heads = names
            .iter()
            .filter_map(|name| load_head(&self.objects, &trust, name).ok());
        heads
            .map(|head| head.manifest().issued_at)
            .max()
            .unwrap_or(0)
    }
}

/// Whether every service has a container exactly as it is defined.
fn runs_whole(loaded: &Loaded, containers: &[Container]) -> bool {
    let mut services = loaded.services();
    !loaded.app.services.is_empty()
        && services.all(|(_, service)| find(containers, service).is_some())
}
