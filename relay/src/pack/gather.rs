//! Collects all content into blobs, and makes the manifest of it.
//!
//! The order is that of the Compose file: images as services name them, then files.

use std::fs;
use std::path::Path;

use bundle::build::Builder;
use bundle::manifest::{
    AgentVersion, File as ManifestFile, Image, ImageId, Service, TYPE_TAG, Target,
};
use bundle::{Digest, Manifest};

use super::Request;
use super::compose::Composed;
use super::error::{ImageError, PackError};
use super::image::Packer;
use super::progress::Progress;
use super::source::{Access, Source};
use crate::net::Net;

/// The oldest agent that runs what is packed here.
const AGENT_MIN: AgentVersion = AgentVersion(0, 1, 0);

/// Collects all content and makes the manifest.
pub(super) fn gather(
    request: &Request,
    composed: Composed,
    sources: &[Source],
    spool: &Path,
    progress: &Progress,
) -> Result<(Manifest, Builder), PackError> {
    let io = |error| PackError::Io {
        path: spool.to_path_buf(),
        error,
    };
    let blobs = spool.join("blobs");
    fs::create_dir(&blobs).map_err(io)?;
    let net = Net::new().map_err(io)?;
    let access = Access {
        arch: request.arch,
        spool,
        auth_file: request.registry_auth_file.as_deref(),
        net: &net,
    };
    let builder = Builder::new(&blobs);
    let mut packer = Packer::new(builder, request.arch, request.compression, progress);

    let mut images: Vec<Image> = Vec::new();
    let mut known: Vec<(&Source, ImageId)> = Vec::new();
    let mut services: Vec<Service> = Vec::new();
    for (mut service, source) in composed.services.into_iter().zip(sources) {
        let seen = known.iter().find(|(other, _)| *other == source);
        service.service.image = match seen {
            Some((_, id)) => *id,
            None => {
                let name = service.service.name.as_str();
                let id = add_image(&mut packer, &mut images, name, source, &access, progress)
                    .map_err(|error| PackError::Image {
                        source: source.to_string(),
                        error,
                    })?;
                known.push((source, id));
                id
            }
        };
        services.push(service.service);
    }
    let mut files = Vec::new();
    for file in composed.files {
        let content = packer
            .add_bytes(&file.content)
            .map_err(|error| match error {
                ImageError::Build(error) => PackError::Build(error),
                error => PackError::Image {
                    source: file.name.to_string(),
                    error,
                },
            })?;
        files.push(ManifestFile {
            name: file.name,
            content,
            template: file.template,
        });
    }
    let manifest = Manifest {
        tag: TYPE_TAG,
        app: request.app.clone(),
        version: request.version.clone(),
        seq: request.seq,
        epoch: request.epoch,
        issued_at: request.issued_at,
        not_after: request.not_after,
        target: Target {
            arch: request.arch,
            fleet: request.fleet.clone(),
            classes: sorted(&request.classes),
            devices: sorted(&request.devices),
            agent_min: AGENT_MIN,
        },
        keyring_min: 0,
        services,
        volumes: composed.volumes,
        networks: composed.networks,
        files,
        variables: composed.variables,
        policy: composed.policy,
        images,
        blobs: Vec::new(),
        extensions: Vec::new(),
    };
    Ok((manifest, packer.builder))
}

/// Each once, in one order, so that the order of flags changes nothing.
fn sorted<T: Ord + Clone>(names: &[T]) -> Vec<T> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}

fn add_image(
    packer: &mut Packer<'_>,
    images: &mut Vec<Image>,
    name: &str,
    source: &Source,
    access: &Access<'_>,
    progress: &Progress,
) -> Result<ImageId, ImageError> {
    progress.step(&format!("{name}: reading {source}"), 0);
    let opened = source.open(access)?;
    let image = packer.add_image(name, &opened)?;
    progress.done(&format!(
        "{name}: image {} in {} layers",
        Digest::of(&opened.config).short(),
        image.layers.len()
    ));
    let index = match images.iter().position(|known| *known == image) {
        Some(index) => index,
        None => {
            images.push(image);
            images.len() - 1
        }
    };
    // More images than an id can number are refused by the builder.
    Ok(ImageId(u16::try_from(index).unwrap_or(u16::MAX)))
}
