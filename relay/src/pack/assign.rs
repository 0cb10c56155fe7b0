//! Which image comes from where: `--image`, or a pinned `image:` of the Compose file.
//!
//! Never resolves a tag or a short name: they may be another image tomorrow.

use super::compose::ComposedService;
use super::error::PackError;
use super::source::Source;

/// Where the image of each service comes from, in the order of the services.
pub(super) fn assign(
    services: &[ComposedService],
    images: &[(String, Source)],
) -> Result<Vec<Source>, PackError> {
    for (index, (name, _)) in images.iter().enumerate() {
        if images[..index].iter().any(|(other, _)| other == name) {
            return Err(PackError::ImageTwice(name.clone()));
        }
        let mut names = services.iter().map(|service| &service.service.name);
        if !names.any(|known| known.as_str() == name) {
            return Err(PackError::NoSuchService {
                name: name.clone(),
                services: services
                    .iter()
                    .map(|service| service.service.name.to_string())
                    .collect(),
            });
        }
    }
    services
        .iter()
        .map(|service| {
            let given = images
                .iter()
                .find(|(name, _)| name == service.service.name.as_str());
            match (given, &service.image) {
                (Some((_, source)), _) => Ok(source.clone()),
                (None, Some(image)) => pinned(image).ok_or_else(|| PackError::NoImage {
                    place: service.place.clone(),
                    image: Some(image.clone()),
                }),
                (None, None) => Err(PackError::NoImage {
                    place: service.place.clone(),
                    image: None,
                }),
            }
        })
        .collect()
}

/// `image:` as a registry source, if it names host and digest.
fn pinned(image: &str) -> Option<Source> {
    let (host, _) = image.split_once('/')?;
    if !host.contains(['.', ':']) && host != "localhost" {
        return None;
    }
    format!("registry:{image}").parse().ok()
}
