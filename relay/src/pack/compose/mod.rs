//! A documented subset of Compose (docs/compose.md) → the types of the manifest.
//!
//! The way of a file: text → `yaml` (a tree with places) → `field` (reading, mistakes noted)
//! → `service`, `network`, `mounts`, `health`, `limits`, `files`, `extension` → `rules` (what
//! must fit together). Every key that is not supported is an error with its place; nothing is
//! dropped silently. Reads the files that the Compose file names, and nothing else.

mod extension;
mod field;
mod files;
mod health;
mod interpolate;
mod limits;
mod map;
mod mounts;
mod network;
mod pairs;
mod problem;
mod process;
mod refusals;
mod rules;
mod service;
#[cfg(test)]
mod tests;
mod units;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use bundle::manifest::{NetworkMode, Policy, Service, Variable};
use bundle::{AppName, NetworkName, VolumeName};

pub use files::PackedFile;
pub use problem::{ComposeError, Position, Problem};

use field::{Context, Field};
use interpolate::Scope;
use problem::{located, place};
use refusals::Place;

/// Most bytes of a Compose file.
const COMPOSE_BYTES_MAX: usize = 1 << 20;

/// A Compose file, read.
#[derive(Debug)]
pub struct Composed {
    /// Its services, in the order of the file.
    pub services: Vec<ComposedService>,
    /// The volumes that services mount.
    pub volumes: Vec<VolumeName>,
    /// The networks that services are on.
    pub networks: Vec<NetworkName>,
    /// The files that [`bundle::manifest::FileId`]s number.
    pub files: Vec<PackedFile>,
    /// The app's variables.
    pub variables: Vec<Variable>,
    /// The app's policy.
    pub policy: Policy,
    /// What is worth saying, with its place.
    pub warnings: Vec<String>,
}

/// A service, and the image that it names.
#[derive(Debug)]
pub struct ComposedService {
    /// The service; its `image` is not numbered yet.
    pub service: Service,
    /// What `image:` says, if it is there.
    pub image: Option<String>,
    /// Where the image is named, or else the service is: `compose.yaml:7:5: services.web`.
    pub place: String,
}

/// Reads a Compose file.
///
/// `file` names it in messages; relative paths in it start from `folder`; `env` holds what
/// `--env-file` gives.
///
/// # Errors
/// [`ComposeError`] with every problem that was found.
pub fn read(
    text: &str,
    file: &str,
    folder: &Path,
    app: &AppName,
    env: BTreeMap<String, String>,
) -> Result<Composed, ComposeError> {
    let fail = |problems| ComposeError {
        file: file.to_string(),
        problems,
    };
    let whole = |at, message: String| {
        fail(vec![Problem {
            at,
            path: String::new(),
            message,
        }])
    };
    if text.len() > COMPOSE_BYTES_MAX {
        let message = format!("larger than {COMPOSE_BYTES_MAX} bytes");
        return Err(whole(Position::START, message));
    }
    let root = yaml::parse(text).map_err(|error| whole(error.at, error.message))?;
    let scope = Scope {
        env,
        declared: extension::declared_names(&root),
    };
    let cx = Context::new(scope, folder);
    let composed = top(&Field::new(&root, String::new(), &cx), file, app);
    let (problems, warnings) = cx.into_notes();
    if problems.is_empty() {
        let warnings = warnings.iter().map(|note| located(file, note)).collect();
        Ok(Composed {
            warnings,
            ..composed
        })
    } else {
        Err(fail(problems))
    }
}

fn top(root: &Field<'_>, file: &str, app: &AppName) -> Composed {
    let mut map = root.map();
    if let Some(name) = map.take("name")
        && name.string().is_some_and(|name| name != app.as_str())
    {
        name.error(format_args!("the app is called {app} (--app), not that"));
    }
    if let Some(version) = map.take("version") {
        root.context().warn(
            version.at(),
            version.path(),
            "has no meaning any more, in Compose neither; remove it",
        );
    }
    let mut files = files::Files::default();
    files.declare(&mut map);
    let volumes = mounts::declared(&mut map);
    let networks = network::declared(&mut map);
    let mut declared = service::Declared {
        volumes: &volumes,
        networks: &networks,
        files: &mut files,
    };
    let mut read = services(&mut map, &mut declared);

    let mut variables = Vec::new();
    let mut policy = Policy::default();
    let coracle = map.take("x-coracle");
    if let Some(field) = &coracle {
        let mut map = field.map();
        variables = extension::variables(&mut map);
        policy = extension::policy(&mut map);
        if let Some(field) = map.take("files") {
            files.extension(&field, &mut read);
        }
        map.finish(Place::Other);
    }
    map.finish(Place::Top);
    rules::check(&read, &policy, coracle.as_ref());

    let files = files.used(&mut read);
    let uses_volume = |name: &VolumeName| {
        let mut mounts = read.iter().flat_map(|read| &read.service.volumes);
        mounts.any(|mount| mount.volume == *name)
    };
    let uses_network = |name: &NetworkName| {
        read.iter().any(|read| match &read.service.network {
            NetworkMode::Bridge(on) => on.iter().any(|on| on.network == *name),
            _ => false,
        })
    };
    Composed {
        volumes: volumes
            .iter()
            .filter(|name| uses_volume(name))
            .cloned()
            .collect(),
        networks: networks
            .iter()
            .filter(|name| uses_network(name))
            .cloned()
            .collect(),
        files,
        variables,
        policy,
        warnings: Vec::new(),
        services: read
            .into_iter()
            .map(|read| {
                let named = read.image.as_ref().unwrap_or(&read.field);
                ComposedService {
                    place: place(file, named.at(), named.path()),
                    image: read.image.and_then(|image| image.string()),
                    service: read.service,
                }
            })
            .collect(),
    }
}

/// `services`; an empty mapping makes a bundle that retires the app.
fn services<'a>(
    map: &mut map::Map<'a>,
    declared: &mut service::Declared<'_>,
) -> Vec<service::Read<'a>> {
    let Some(field) = map.require("services") else {
        return Vec::new();
    };
    let members = field.members();
    if members.is_empty() {
        let note = "no services: the bundle will retire the app on devices that apply it";
        field.context().warn(field.at(), field.path(), note);
    }
    members
        .iter()
        .filter_map(|member| Some(service::read(member.name()?, &member.value, declared)))
        .collect()
}
