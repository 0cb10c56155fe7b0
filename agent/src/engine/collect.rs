//! Removes what no generation on this device needs: containers, networks, images, objects, files.
//!
//! Never touches volumes, nor images that it does not know to be Coracle's own: several agents
//! may share one runtime. What cannot be removed now is tried again later.

use std::collections::BTreeSet;

use agent_core::Phase;
use bundle::{Digest, TrustStore};
use runtime_shim::ContainerSpec;

use super::Engine;
use super::app::App;
use super::generation::{file_name, images, load_head};
use super::trouble::{LoadError, Trouble};

/// What the generations on this device need.
#[derive(Default)]
pub(crate) struct Needed {
    /// Image ids.
    pub(crate) images: BTreeSet<Digest>,
    objects: BTreeSet<Digest>,
    files: BTreeSet<String>,
}

impl Engine {
    /// What all apps need: to run, to roll back, and to go on with what is under way.
    ///
    /// # Errors
    /// [`Trouble::Load`] if that cannot be known.
    pub(crate) fn needed(&self) -> Result<Needed, Trouble> {
        let mut needed = Needed::default();
        let apps: Vec<_> = self.apps.borrow().values().cloned().collect();
        for app in apps {
            let state = app.state();
            let failed = match state.phase {
                Phase::RollingBack { failed, .. } | Phase::Broken { failed, .. } => Some(failed),
                _ => None,
            };
            let kept = [state.current, state.incoming(), failed];
            for generation in kept.into_iter().flatten().chain(state.previous) {
                needed
                    .objects
                    .extend([generation.bundle, generation.variables]);
                let loaded = match self.load(generation) {
                    Ok(loaded) => loaded,
                    // Being staged: its head is the first thing to come.
                    Err(LoadError::Missing(_)) if state.incoming() == Some(generation) => continue,
                    // Its key is gone: there is no way back to it.
                    Err(LoadError::Refused(_)) if state.previous == Some(generation) => continue,
                    Err(error) => return Err(error.into()),
                };
                let manifest = loaded.manifest();
                let contents = manifest
                    .files
                    .iter()
                    .filter_map(|file| manifest.blob(file.content));
                needed.objects.extend(contents.map(|blob| blob.plain));
                for (_, service) in loaded.services() {
                    let files = service.files.iter().zip(&service.service.files);
                    needed
                        .files
                        .extend(files.map(|(file, mount)| file_name(&file.content, mount)));
                }
                // Of an app that was removed only the head stays.
                let removed = state.current.is_none() && state.previous == Some(generation);
                if !removed
                    || state
                        .incoming()
                        .is_some_and(|i| i.same_content(&generation))
                {
                    needed.images.extend(loaded.images());
                }
            }
        }
        Ok(needed)
    }

    /// Removes what nobody needs. A failure is logged; as a daemon, the driver comes back to it.
    pub(crate) async fn collect(&self, app: &App) {
        match self.try_collect(app).await {
            Ok(()) => app.uncollected.set(None),
            Err(trouble) => {
                let failures = app.uncollected.get().unwrap_or(0);
                app.uncollected.set(Some(failures.saturating_add(1)));
                log::warn!("app={} phase=collecting cause={trouble}", app.name);
            }
        }
    }

    async fn try_collect(&self, app: &App) -> Result<(), Trouble> {
        let state = app.state();
        if state.phase == Phase::Idle {
            self.collect_containers(app).await?;
            self.collect_networks(app).await?;
            self.drop_copies(app);
        }
        let needed = self.needed()?;
        let trust = TrustStore::load(&self.config.keys_dir).map_err(LoadError::Trust)?;
        let names = self
            .objects
            .names()
            .map_err(Trouble::file("the stored objects"))?;
        for name in names.iter().filter(|name| !needed.objects.contains(name)) {
            // A head goes last, after the images that only it knows.
            if load_head(&self.objects, &trust, name).is_ok() {
                self.remove_images_of(name).await?;
            }
            self.objects
                .remove(name)
                .map_err(Trouble::file("a stored object"))?;
        }
        if state.current.is_none()
            && state.phase == Phase::Idle
            && let Some(removed) = state.previous
            && let Ok(head) = load_head(&self.objects, &trust, &removed.bundle)
            && !images(head.manifest())
                .iter()
                .all(|image| needed.images.contains(image))
        {
            self.remove_images_of(&removed.bundle).await?;
        }
        for path in self
            .vfs
            .list(&self.files)
            .map_err(Trouble::file("the configuration files"))?
        {
            let name = path.file_name().and_then(|name| name.to_str());
            if !name.is_some_and(|name| needed.files.contains(name)) {
                self.vfs
                    .remove(&path)
                    .map_err(Trouble::file("a configuration file"))?;
            }
        }
        Ok(())
    }

    async fn collect_containers(&self, app: &App) -> Result<(), Trouble> {
        let current = app
            .state()
            .current
            .map(|current| self.load(current))
            .transpose()?;
        self.remove_strangers(app, current.as_deref()).await
    }

    async fn collect_networks(&self, app: &App) -> Result<(), Trouble> {
        let current = app
            .state()
            .current
            .map(|current| self.load(current))
            .transpose()?;
        let declared: BTreeSet<String> = current
            .iter()
            .flat_map(|current| &current.manifest().networks)
            .map(|network| ContainerSpec::network_name(&app.name, network))
            .collect();
        let networks = self.runtime.networks(Some(&app.name)).await;
        for network in networks.map_err(Trouble::runtime("list the networks"))? {
            if !declared.contains(&network) {
                let removed = self.runtime.remove_network(&network).await;
                removed.map_err(Trouble::runtime(format!("remove the network {network}")))?;
            }
        }
        Ok(())
    }
}
