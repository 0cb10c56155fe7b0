//! A generation taken from the disk: verified head, values, and what shall run.
//!
//! There is one way from the record to what runs: whatever was staged is read back through
//! [`load`], which verifies the signature again. Never trusts an object by its name alone.

use agent_core::Generation;
use agent_core::resolve::{ResolvedApp, ResolvedService, start_order};
use bundle::manifest::{FileId, FileMount};
use bundle::{Digest, Manifest, Refused, TrustStore, Values, VerifiedBundle, template};

use super::source::Source;
use super::trouble::LoadError;
use crate::state::Objects;

/// A generation, ready to run.
pub(crate) struct Loaded {
    /// Which.
    pub(crate) generation: Generation,
    /// Its verified bundle.
    pub(crate) bundle: VerifiedBundle,
    /// What shall run: services in the manifest's order, variables put in.
    pub(crate) app: ResolvedApp,
    /// The places of the services in the order in which they start.
    pub(crate) start_order: Vec<usize>,
    values: Values,
}

impl Loaded {
    /// What the bundle says.
    pub(crate) fn manifest(&self) -> &Manifest {
        self.bundle.manifest()
    }

    /// The service at this place, with its place.
    pub(crate) fn services(&self) -> impl Iterator<Item = (usize, &ResolvedService)> {
        self.app.services.iter().enumerate()
    }

    /// The service that has this definition, if there is one.
    pub(crate) fn has_spec(&self, spec: &Digest) -> bool {
        self.app
            .services
            .iter()
            .any(|service| service.spec == *spec)
    }

    /// The ids of its images, each once.
    pub(crate) fn images(&self) -> Vec<Digest> {
        images(self.manifest())
    }

    /// The bytes of a configuration file as the device's containers see them.
    ///
    /// # Errors
    /// [`LoadError`], if what it is made of is not there any longer.
    pub(crate) fn render(&self, objects: &Objects, file: FileId) -> Result<Vec<u8>, LoadError> {
        render(self.manifest(), &self.values, file, &|plain| {
            stored(objects, plain)
        })
    }
}

/// The ids of a bundle's images, each once.
pub(crate) fn images(manifest: &Manifest) -> Vec<Digest> {
    let configs = manifest
        .images
        .iter()
        .filter_map(|image| manifest.blob(image.config));
    let mut ids: Vec<Digest> = configs.map(|blob| blob.plain).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Takes a generation from the disk.
///
/// # Errors
/// [`LoadError`].
pub(crate) fn load(
    objects: &Objects,
    trust: &TrustStore,
    generation: Generation,
) -> Result<Loaded, LoadError> {
    let bundle = load_head(objects, trust, &generation.bundle)?;
    let values = stored(objects, &generation.variables)?;
    let values = Values::decode(&values).map_err(|_| LoadError::Damaged(generation.variables))?;
    let app = resolve(&bundle, &values, &|plain| stored(objects, plain))?;
    let start_order = start_order(&app.services);
    Ok(Loaded {
        generation,
        bundle,
        app,
        start_order,
        values,
    })
}

/// Takes a signed head from the disk and verifies it, its name included.
///
/// # Errors
/// [`LoadError`].
pub(crate) fn load_head(
    objects: &Objects,
    trust: &TrustStore,
    name: &Digest,
) -> Result<VerifiedBundle, LoadError> {
    let head = objects.get(name).map_err(LoadError::Read)?;
    let head = head.ok_or(LoadError::Missing(*name))?;
    let bundle = bundle::verify(head, trust).map_err(LoadError::Refused)?;
    if bundle.digest() != *name {
        return Err(LoadError::Damaged(*name));
    }
    Ok(bundle)
}

/// What would run of a bundle that is not on the device yet. Blocks.
///
/// # Errors
/// [`LoadError`].
pub(crate) fn resolve_source(source: &Source, values: &Values) -> Result<ResolvedApp, LoadError> {
    resolve(source.bundle(), values, &|plain| read_source(source, plain))
}

/// As [`resolve_source`], for a bundle that was fetched as far as `objects` lacked it.
///
/// # Errors
/// [`LoadError`].
pub(crate) fn resolve_fetched(
    source: &Source,
    values: &Values,
    objects: &Objects,
) -> Result<ResolvedApp, LoadError> {
    resolve(source.bundle(), values, &|plain| {
        if source.has(plain) {
            read_source(source, plain)
        } else {
            stored(objects, plain)
        }
    })
}

fn read_source(source: &Source, plain: &Digest) -> Result<Vec<u8>, LoadError> {
    let blobs = &source.bundle().manifest().blobs;
    let blob = blobs.iter().find(|blob| blob.plain == *plain);
    let blob = blob.ok_or(LoadError::Missing(*plain))?;
    source.read_blob(blob).map_err(LoadError::Refused)
}

fn stored(objects: &Objects, name: &Digest) -> Result<Vec<u8>, LoadError> {
    match objects.get_content(name) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(LoadError::Missing(*name)),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Err(LoadError::Damaged(*name)),
        Err(e) => Err(LoadError::Read(e)),
    }
}

type Content<'a> = &'a dyn Fn(&Digest) -> Result<Vec<u8>, LoadError>;

fn resolve(
    bundle: &VerifiedBundle,
    values: &Values,
    content: Content<'_>,
) -> Result<ResolvedApp, LoadError> {
    let manifest = bundle.manifest();
    let mut rendered = |file| Ok(Digest::of(&render(manifest, values, file, content)?));
    let resolved = ResolvedApp::new(manifest, bundle.digest(), values, &mut rendered);
    resolved.map_err(|error| LoadError::Resolve(Box::new(error)))
}

fn plain_digest(manifest: &Manifest, file: FileId) -> Result<Digest, LoadError> {
    let blob = manifest
        .file(file)
        .and_then(|file| manifest.blob(file.content));
    // Verified manifests name only files and blobs that exist.
    blob.map(|blob| blob.plain)
        .ok_or(LoadError::Refused(Refused::Manifest))
}

fn render(
    manifest: &Manifest,
    values: &Values,
    file: FileId,
    content: Content<'_>,
) -> Result<Vec<u8>, LoadError> {
    let bytes = content(&plain_digest(manifest, file)?)?;
    if !manifest.file(file).is_some_and(|file| file.template) {
        return Ok(bytes);
    }
    let text = String::from_utf8(bytes).map_err(|_| LoadError::NotText)?;
    let text = template::render(&text, values).map_err(LoadError::Template)?;
    Ok(text.into_bytes())
}

/// The name under which a mounted file lies in the folder `files/`: by what it holds and by who
/// may read it, so that an untouched service keeps its files through updates.
pub(crate) fn file_name(content: &Digest, mount: &FileMount) -> String {
    format!(
        "{}-{:03o}-{}-{}",
        content.hex(),
        mount.mode,
        mount.uid,
        mount.gid
    )
}
