//! From a manifest and this device's values to what shall run.
//!
//! Never reads a file: whoever calls renders templates and hands in their digests.

#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use bundle::manifest::{FileId, ImageId, Restart, Service, Text};
use bundle::template::{self, TemplateError};
use bundle::values::Values;
use bundle::{AppName, Digest, Manifest, ServiceName};
use sha2::{Digest as _, Sha256};

/// What a spec's digest begins with: separates it from every other digest.
const SPEC_TAG: &[u8] = b"coracle-spec-1\0";

/// A bundle with the settings of this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedApp {
    /// The app.
    pub app: AppName,
    /// The bundle's digest.
    pub bundle: Digest,
    /// Its services, in the manifest's order.
    pub services: Vec<ResolvedService>,
}

/// A service with the settings of this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedService {
    /// The definition, with variables put into its environment.
    pub service: Service,
    /// The image id.
    pub image: Digest,
    /// Its files, in the order of `service.files`.
    pub files: Vec<ResolvedFile>,
    /// SHA-256 over all that makes its container what it is: with an equal one, the container can
    /// stay.
    pub spec: Digest,
}

/// A configuration file with the settings of this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedFile {
    /// The file, in the manifest.
    pub file: FileId,
    /// SHA-256 of its content, rendered if it is a template.
    pub content: Digest,
}

/// Why a manifest and values do not make an app. `E` is what rendering a file can end in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError<E> {
    /// An environment value cannot be expanded.
    Environment {
        /// Of which service.
        service: ServiceName,
        /// Which entry.
        name: Text,
        /// Why.
        source: TemplateError,
    },
    /// An environment value grows beyond the bound of a text.
    TooLong {
        /// Of which service.
        service: ServiceName,
        /// Which entry.
        name: Text,
    },
    /// A file cannot be rendered.
    File {
        /// Which.
        file: FileId,
        /// Why.
        source: E,
    },
    /// The manifest names something that it does not hold; a verified one never does.
    Dangling {
        /// In which service.
        service: ServiceName,
    },
}

impl<E: fmt::Display> fmt::Display for ResolveError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment {
                service,
                name,
                source,
            } => {
                write!(f, "service {service}, environment {name}: {source}")
            }
            Self::TooLong { service, name } => write!(
                f,
                "service {service}, environment {name}: too long with this device's values"
            ),
            Self::File { file, source } => write!(f, "file {}: {source}", file.0),
            Self::Dangling { service } => {
                write!(f, "service {service} names what the manifest does not hold")
            }
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for ResolveError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Environment { source, .. } => Some(source),
            Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl ResolvedApp {
    /// The app that a verified manifest and checked values make.
    ///
    /// `rendered` gives the digest of a template with the values put in; it is asked once for each
    /// template that a service mounts. Other files are as the manifest says.
    ///
    /// # Errors
    /// [`ResolveError`]: a reference to a variable that has no value, a value that makes a text
    /// too long, or what `rendered` ends in.
    pub fn new<E>(
        manifest: &Manifest,
        bundle: Digest,
        values: &Values,
        rendered: &mut dyn FnMut(FileId) -> Result<Digest, E>,
    ) -> Result<Self, ResolveError<E>> {
        let mut contents = BTreeMap::new();
        let mut services = Vec::with_capacity(manifest.services.len());
        for service in &manifest.services {
            let dangling = || ResolveError::Dangling {
                service: service.name.clone(),
            };
            let mut files = Vec::with_capacity(service.files.len());
            for mount in &service.files {
                let content = match contents.get(&mount.file) {
                    Some(content) => *content,
                    None => {
                        let file = manifest.file(mount.file).ok_or_else(dangling)?;
                        let content = if file.template {
                            rendered(mount.file).map_err(|source| ResolveError::File {
                                file: mount.file,
                                source,
                            })?
                        } else {
                            manifest.blob(file.content).ok_or_else(dangling)?.plain
                        };
                        contents.insert(mount.file, content);
                        content
                    }
                };
                files.push(ResolvedFile {
                    file: mount.file,
                    content,
                });
            }
            let image = manifest.image_digest(service.image).ok_or_else(dangling)?;
            services.push(ResolvedService::new(expand(service, values)?, image, files));
        }
        Ok(Self {
            app: manifest.app.clone(),
            bundle,
            services,
        })
    }

    /// The service with this name.
    pub fn service(&self, name: &ServiceName) -> Option<&ResolvedService> {
        self.services
            .iter()
            .find(|resolved| resolved.service.name == *name)
    }
}

impl ResolvedService {
    fn new(service: Service, image: Digest, files: Vec<ResolvedFile>) -> Self {
        let spec = spec(&service, image, &files);
        Self {
            service,
            image,
            files,
            spec,
        }
    }
}

/// The service with variables put into its environment.
fn expand<E>(service: &Service, values: &Values) -> Result<Service, ResolveError<E>> {
    let mut service = service.clone();
    for (name, value) in &mut service.environment {
        let text = template::render(value, values).map_err(|source| ResolveError::Environment {
            service: service.name.clone(),
            name: name.clone(),
            source,
        })?;
        *value = Text::new(text).ok_or_else(|| ResolveError::TooLong {
            service: service.name.clone(),
            name: name.clone(),
        })?;
    }
    Ok(service)
}

/// SHA-256 over a tag, the service in postcard, the image id and the digests of its files.
///
/// Left out is what the agent does itself, so that no new container is needed when it changes:
/// health check, restart policy, dependencies, diagnostics. The places of the image and of files
/// in the manifest are left out too: their digests are in.
fn spec(service: &Service, image: Digest, files: &[ResolvedFile]) -> Digest {
    let mut bare = service.clone();
    bare.image = ImageId(0);
    bare.restart = Restart::No;
    bare.depends_on.clear();
    bare.health = None;
    bare.diagnostics.clear();
    for mount in &mut bare.files {
        mount.file = FileId(0);
    }
    let mut hasher = Sha256::new_with_prefix(SPEC_TAG);
    // Encoding into memory has no way to fail for these types; if it ever did, the digest of
    // nothing would only cost a restart.
    hasher.update(postcard::to_allocvec(&bare).unwrap_or_default());
    hasher.update(image.as_bytes());
    for file in files {
        hasher.update(file.content.as_bytes());
    }
    Digest::of_hasher(hasher)
}

/// The order in which services start: each after those that it depends on, otherwise as in the
/// manifest. Stopping goes in the reverse order.
///
/// Indices into `services`, each once. Services in a circle, which no verified manifest has, come
/// last in the manifest's order.
pub fn start_order(services: &[ResolvedService]) -> Vec<usize> {
    let mut order = Vec::with_capacity(services.len());
    while order.len() < services.len() {
        let waits = |at: usize| {
            services[at].service.depends_on.iter().any(|dependency| {
                services
                    .iter()
                    .position(|other| other.service.name == dependency.service)
                    .is_some_and(|other| other != at && !order.contains(&other))
            })
        };
        let left = || (0..services.len()).filter(|at| !order.contains(at));
        let Some(next) = left().find(|at| !waits(*at)).or_else(|| left().next()) else {
            break;
        };
        order.push(next);
    }
    order
}
