//! Brings a generation onto the device: everything that can be done before anything stops.
//!
//! Objects first, then a durable intent, then the runtime: networks, volumes, images, containers.
//! Never stops or starts a container.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use agent_core::Generation;
use agent_core::plan::mounted_files;
use agent_core::resolve::ResolvedService;
use bundle::manifest::{FileMount, Image, ImageId, VolumeMount};
use bundle::{AppName, Manifest, oci};
use runtime_shim::{ContainerSpec, ImageImport, RuntimeError};

use super::Engine;
use super::admit::Offer;
use super::app::App;
use super::generation::{Loaded, file_name, load_head};
use super::host::blocking;
use super::ours::find;
use super::source::Fault;
use super::trouble::{LoadError, Trouble};
use crate::api::Step;
use crate::state::Intent;
use crate::state::vfs;

/// How long an update that is past staging waits for a runtime that does not answer.
const RUNTIME_WAIT_MS: u64 = 120_000;

impl Engine {
    /// Brings `incoming` in. A crash in the middle leaves an open intent, which the next start
    /// undoes, and objects that the next collection removes.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn stage(
        self: &Rc<Self>,
        app: &App,
        incoming: Generation,
    ) -> Result<(), Trouble> {
        self.undo_staging(app).await?;
        let offer = app.offer.borrow().clone();
        if let Some(offer) = &offer {
            self.store_offer(app, offer).await?;
        }
        let next = self.load(incoming)?;
        let intent = Intent {
            generation: incoming.id,
            bundle: incoming.bundle,
        };
        self.intents
            .begin(&app.name, intent)
            .map_err(Trouble::file("the intent of the import"))?;
        self.ensure_surroundings(&next).await?;
        self.import_images(app, &next, offer.as_deref()).await?;
        self.sync_store().await?;
        let containers = self.ours(&app.name).await?;
        for (place, service) in next.services() {
            if find(&containers, service).is_none() {
                self.create_service(&next, place).await?;
            }
        }
        Ok(())
    }

    /// Undoes what was staged when the agent or the device last went down, if anything was.
    ///
    /// # Errors
    /// [`Trouble`]; the intent then stays open.
    pub(crate) async fn undo_staging(&self, app: &App) -> Result<(), Trouble> {
        let open = self
            .intents
            .open()
            .map_err(Trouble::file("the intents of imports"))?;
        let Some((_, intent)) = open.into_iter().find(|(name, _)| *name == app.name) else {
            return Ok(());
        };
        let state = app.state();
        // While it is being staged again, the number is that of the new attempt.
        let done = state.next_generation > intent.generation;
        if !done {
            log::warn!(
                "app={} generation={} phase=undoing",
                app.name,
                intent.generation
            );
            for container in self.ours(&app.name).await? {
                if super::ours::generation_of(&container) == intent.generation.0 {
                    let removed = self.runtime.remove(&container.id).await;
                    removed.map_err(Trouble::runtime("remove a container"))?;
                }
            }
            self.remove_images_of(&intent.bundle).await?;
        }
        self.intents
            .end(&app.name)
            .map_err(Trouble::file("the intent of the import"))
    }

    /// Stores the head, the values and the files of a bundle, each durable when this returns.
    async fn store_offer(self: &Rc<Self>, app: &App, offer: &Offer) -> Result<(), Trouble> {
        let bundle = offer.source.bundle();
        let put = |name: &_, bytes: &[u8]| {
            self.objects
                .put(name, bytes)
                .map_err(Trouble::file("a stored object"))
        };
        put(&bundle.digest(), bundle.head())?;
        put(&offer.values.digest(), &offer.values.encode())?;
        let manifest = bundle.manifest();
        let contents = mounted_files(manifest);
        for blob in contents.iter().filter_map(|id| manifest.blob(*id)) {
            if self.has_object(&blob.plain) {
                continue;
            }
            if !offer.source.has(&blob.plain) {
                self.fetch_rest(app, offer).await?;
            }
            let (source, blob, plain) = (Arc::clone(&offer.source), blob.clone(), blob.plain);
            let read = blocking(&*self.host, move || source.read_blob(&blob)).await;
            let bytes = read
                .map_err(Trouble::file("the bundle"))?
                .map_err(Trouble::Source)?;
            put(&plain, &bytes)?;
        }
        Ok(())
    }

    /// Makes the networks and volumes of a generation.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn ensure_surroundings(&self, target: &Loaded) -> Result<(), Trouble> {
        let (app, manifest) = (&target.app.app, target.manifest());
        for network in &manifest.networks {
            let made = self
                .runtime
                .ensure_network(app, &ContainerSpec::network_name(app, network))
                .await;
            made.map_err(Trouble::runtime(format!("make the network {network}")))?;
        }
        for volume in &manifest.volumes {
            let made = self
                .runtime
                .ensure_volume(app, &ContainerSpec::volume_name(app, volume))
                .await;
            made.map_err(Trouble::runtime(format!("make the volume {volume}")))?;
        }
        Ok(())
    }

    async fn import_images(
        self: &Rc<Self>,
        app: &App,
        next: &Loaded,
        offer: Option<&Offer>,
    ) -> Result<(), Trouble> {
        let manifest = next.manifest();
        let mut lacking: Vec<(ImageId, &ResolvedService)> = Vec::new();
        for (_, service) in next.services() {
            let known = lacking
                .iter()
                .any(|(_, other)| other.image == service.image);
            if !known && !self.has_image(&service.image).await? {
                lacking.push((service.service.image, service));
            }
        }
        let bytes = |id: ImageId| {
            manifest
                .image(id)
                .map_or(0, |image| image_bytes(manifest, image))
        };
        let total = lacking.iter().map(|(id, _)| bytes(*id)).sum();
        let before = Cell::new(0);
        for (id, service) in lacking {
            let Some(offer) = offer else {
                return Err(Trouble::ImageMissing(service.image));
            };
            let Some(import) = image_import(manifest, id, service, &app.name, offer) else {
                return Err(Trouble::ImageMissing(service.image));
            };
            let name = &service.service.name;
            let progress =
                |done| app.progress(Step::Stage, name.as_str(), before.get() + done, total);
            progress(0);
            let mut imported = self.runtime.import_image(&import, &progress).await;
            let mut fault = offer.source.take_fault();
            if let (Err(_), Some(Fault::NotFetched(layer))) = (&imported, &fault) {
                // It was part of an image that the runtime had, and is wanted all the same.
                log::warn!("app={} phase=staging lacking={}", app.name, layer.short());
                self.fetch_rest(app, offer).await?;
                imported = self.runtime.import_image(&import, &progress).await;
                fault = offer.source.take_fault();
            }
            if let Err(error) = imported {
                // The runtime only knows that its source broke off; the source knows why.
                return Err(match fault {
                    Some(fault) => fault.into(),
                    None => Trouble::runtime(format!("import the image of {name}"))(error),
                });
            }
            before.set(before.get() + bytes(id));
            log::info!(
                "app={} phase=imported image={}",
                app.name,
                service.image.short()
            );
        }
        app.progress(Step::Stage, "", total, total);
        Ok(())
    }

    /// Makes what the runtime has written durable: its store does not see to it.
    async fn sync_store(&self) -> Result<(), Trouble> {
        let info = self.runtime_info().await?;
        match self.host.sync_fs(&info.store).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(Trouble::file("the runtime's store")),
        }
    }

    /// Asks the runtime about itself, and keeps what probes need to know.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn runtime_info(&self) -> Result<runtime_shim::RuntimeInfo, Trouble> {
        let info = self
            .runtime
            .info()
            .await
            .map_err(Trouble::runtime("reach it"))?;
        self.rootless.set(info.rootless);
        Ok(info)
    }

    /// As [`Engine::runtime_info`], but gives a runtime that does not answer some time: at boot it
    /// may come up after the agent, and that is no reason to give a good update up.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn await_runtime(&self) -> Result<(), Trouble> {
        let deadline_ms = self.host.now_ms().saturating_add(RUNTIME_WAIT_MS);
        let mut attempts = 0;
        loop {
            match self.runtime_info().await {
                Ok(_) => return Ok(()),
                Err(trouble) if trouble.is_unreachable() && self.host.now_ms() < deadline_ms => {
                    log::warn!("phase=waiting cause={trouble}");
                    self.pause(&mut attempts).await;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Writes the configuration files that a service mounts, those that are there already
    /// excepted.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn place_files(
        &self,
        target: &Loaded,
        service: &ResolvedService,
    ) -> Result<(), Trouble> {
        for (file, mount) in service.files.iter().zip(&service.service.files) {
            let path = self.files.join(file_name(&file.content, mount));
            let there = vfs::read(
                &*self.vfs,
                &path,
                bundle::limits::FILE_BYTES_MAX as usize * 2,
            );
            if !there
                .is_ok_and(|there| there.is_some_and(|b| bundle::Digest::of(&b) == file.content))
            {
                let bytes = target.render(&self.objects, file.file)?;
                let written = (|| {
                    self.vfs.create_dir(&self.files)?;
                    vfs::replace(&*self.vfs, &path, &bytes, u32::from(mount.mode))
                })();
                written.map_err(Trouble::file("a configuration file"))?;
            }
            self.give_to_owner(&path, mount)?;
        }
        Ok(())
    }

    fn give_to_owner(&self, path: &std::path::Path, mount: &FileMount) -> Result<(), Trouble> {
        if !rustix::process::geteuid().is_root() {
            // Without root, the container's root is this user, and nobody else can be given to.
            return Ok(());
        }
        let given = self.vfs.set_owner(path, mount.uid, mount.gid);
        given.map_err(Trouble::file("a configuration file"))
    }

    /// Removes what was staged for a generation that will not run.
    pub(crate) async fn discard(self: &Rc<Self>, app: &App, incoming: Generation) {
        let removed = async {
            for container in self.ours(&app.name).await? {
                if super::ours::generation_of(&container) == incoming.id.0 {
                    let removed = self.runtime.remove(&container.id).await;
                    removed.map_err(Trouble::runtime("remove a container"))?;
                }
            }
            self.remove_images_of(&incoming.bundle).await?;
            self.intents
                .end(&app.name)
                .map_err(Trouble::file("the intent of the import"))
        };
        // What is left now is undone before the next import, or at the next start.
        if let Err(trouble) = removed.await {
            log::warn!(
                "app={} generation={} phase=discarding cause={trouble}",
                app.name,
                incoming.id
            );
        }
        self.collect(app).await;
    }

    /// Removes the images of a stored bundle that no generation on this device needs.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn remove_images_of(&self, bundle: &bundle::Digest) -> Result<(), Trouble> {
        let trust = bundle::TrustStore::load(&self.config.keys_dir).map_err(LoadError::Trust)?;
        let head = match load_head(&self.objects, &trust, bundle) {
            Ok(head) => head,
            // Without a head nothing was imported: it is stored first.
            Err(LoadError::Missing(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let needed = self.needed()?;
        for image in super::generation::images(head.manifest()) {
            if !needed.images.contains(&image) {
                match self.runtime.remove_image(&image).await {
                    // Somebody else's container uses it.
                    Ok(()) | Err(RuntimeError::NotFound | RuntimeError::Conflict(_)) => {}
                    Err(error) => return Err(Trouble::runtime("remove an image")(error)),
                }
            }
        }
        Ok(())
    }
}

fn image_bytes(manifest: &Manifest, image: &Image) -> u64 {
    let layers = image.layers.iter().chain([&image.config]);
    layers
        .filter_map(|id| manifest.blob(*id))
        .map(|blob| blob.plain_bytes)
        .sum()
}

fn image_import(
    manifest: &Manifest,
    id: ImageId,
    service: &ResolvedService,
    app: &AppName,
    offer: &Offer,
) -> Option<ImageImport> {
    let image = manifest.image(id)?;
    let config = manifest.blob(image.config)?;
    let layers = image.layers.iter().map(|layer| manifest.blob(*layer));
    let layers: Option<Vec<_>> = layers
        .map(|blob| blob.map(|b| (b.plain, b.plain_bytes)))
        .collect();
    let (json, manifest_digest) = oci::image_manifest(manifest, id)?;
    Some(ImageImport {
        name: format!("localhost/coracle/{app}-{}", service.service.name),
        id: config.plain,
        config_bytes: config.plain_bytes,
        layers: layers?,
        manifest: json,
        manifest_digest,
        content: Arc::clone(&offer.source) as Arc<dyn runtime_shim::ImageContent>,
    })
}

/// The volumes that a service mounts.
pub(crate) fn mounts_volume(service: &ResolvedService, volume: &bundle::VolumeName) -> bool {
    let mut mounts = service.service.volumes.iter();
    mounts.any(|mount: &VolumeMount| mount.volume == *volume)
}
