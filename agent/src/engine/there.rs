//! What of a bundle is on the device already, and need not come again.
//!
//! Never takes for granted what it only supposes: that a runtime which has an image has its layers
//! one by one. Staging finds out, and has the rest fetched.

use std::collections::{BTreeMap, BTreeSet};

use bundle::{Digest, Manifest, TrustStore};

use super::Engine;
use super::generation::{images, load_head};
use super::trouble::{LoadError, Trouble};

impl Engine {
    /// The image ids, diffIDs and plain digests of files that `manifest` names, or an app of this
    /// device, and that are here: images that the runtime has, their layers, stored files.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn there(&self, manifest: &Manifest) -> Result<BTreeSet<Digest>, Trouble> {
        let mut there = self.there_for_sure(manifest).await?;
        let kept = self.kept_manifests()?;
        let mut known = BTreeMap::new();
        for manifest in kept.iter().chain([manifest]) {
            for image in &manifest.images {
                let Some(config) = manifest.blob(image.config) else {
                    continue;
                };
                let id = config.plain;
                let has = match known.get(&id) {
                    Some(has) => *has,
                    None => {
                        let has = there.contains(&id) || self.has_image(&id).await?;
                        known.insert(id, has);
                        has
                    }
                };
                if has {
                    let layers = image.layers.iter().filter_map(|id| manifest.blob(*id));
                    there.extend(layers.map(|layer| layer.plain));
                }
            }
        }
        Ok(there)
    }

    /// As [`Engine::there`], without what is only supposed.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) async fn there_for_sure(
        &self,
        manifest: &Manifest,
    ) -> Result<BTreeSet<Digest>, Trouble> {
        let mut there = BTreeSet::new();
        for image in images(manifest) {
            if self.has_image(&image).await? {
                there.insert(image);
            }
        }
        let contents = agent_core::plan::mounted_files(manifest);
        let contents = contents.iter().filter_map(|id| manifest.blob(*id));
        there.extend(
            contents
                .map(|blob| blob.plain)
                .filter(|plain| self.has_object(plain)),
        );
        Ok(there)
    }

    /// Whether the content with this digest is stored, whole.
    pub(crate) fn has_object(&self, plain: &Digest) -> bool {
        self.objects
            .get_content(plain)
            .is_ok_and(|bytes| bytes.is_some())
    }

    pub(crate) async fn has_image(&self, id: &Digest) -> Result<bool, Trouble> {
        let there = self.runtime.has_image(id).await;
        there.map_err(Trouble::runtime("look for an image"))
    }

    /// The manifests of all generations that are kept; one that cannot be verified any longer
    /// counts for nothing.
    fn kept_manifests(&self) -> Result<Vec<Manifest>, Trouble> {
        let trust = TrustStore::load(&self.config.keys_dir).map_err(LoadError::Trust)?;
        let apps = self.apps.borrow();
        let kept = apps.values().flat_map(|app| {
            let state = app.state();
            [state.current, state.previous]
        });
        let bundles: BTreeSet<Digest> = kept.flatten().map(|kept| kept.bundle).collect();
        let heads = bundles
            .iter()
            .filter_map(|bundle| load_head(&self.objects, &trust, bundle).ok());
        Ok(heads.map(|head| head.manifest().clone()).collect())
    }
}
