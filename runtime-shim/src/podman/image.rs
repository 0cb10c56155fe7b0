//! Images: brought in through a loopback registry, named, listed, removed.
//!
//! Never takes podman's word for what it stored: the id is compared, and the store is synced
//! before an import counts as done (containerd#9115, podman#8005).

use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::Digest;
use serde::Deserialize;
use smol::channel::Receiver;
use smol::future::FutureExt as _;

use super::api::{Api, Call, LOOK, decode, refused};
use super::registry::{Event, Registry};
use super::store::gone;
use crate::{ImageImport, RuntimeError};

/// Names of images that are Coracle's begin so.
const OURS: &str = "localhost/coracle/";
/// Names of images while they are being imported begin so.
const LOOPBACK: &str = "127.0.0.1:";
/// How long podman may work on an import without asking for another byte: unpacking a large layer
/// onto an SD card.
const SILENCE: Duration = Duration::from_secs(900);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
}

impl Inspected {
    fn tags(&self) -> impl Iterator<Item = &str> {
        self.repo_tags.iter().flatten().map(String::as_str)
    }
}

/// The last line of a pull's answer; the errors among them come with status 200.
#[derive(Deserialize)]
struct Pulled {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    id: Option<String>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(rename = "Names", default)]
    names: Vec<String>,
}

pub(super) async fn exists(api: &Api, id: &Digest) -> Result<bool, RuntimeError> {
    let call = Call::get(&format!("images/{}/exists", id.hex()));
    match api.call(call).await {
        Ok(_) => Ok(true),
        Err(RuntimeError::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn import(
    api: &Api,
    image: &ImageImport,
    progress: &dyn Fn(u64),
    store: PathBuf,
) -> Result<(), RuntimeError> {
    if !exists(api, &image.id).await? {
        pull(api, image, progress).await?;
        if !exists(api, &image.id).await? {
            return Err(RuntimeError::Protocol("another image than was pulled"));
        }
    }
    name(api, image).await?;
    smol::unblock(move || sync(&store)).await
}

/// Lets podman pull from a registry of ours.
async fn pull(api: &Api, image: &ImageImport, progress: &dyn Fn(u64)) -> Result<(), RuntimeError> {
    let (registry, events) = Registry::open(image)?;
    let call = Call::post("images/pull")
        .query("reference", registry.reference())
        .query("tlsVerify", "false")
        .query("policy", "missing")
        .query("quiet", "true")
        // The watch below ends a pull that stands still; a whole one may take hours.
        .within(Duration::from_secs(86_400));
    let pulled = async {
        let (_, body) = api.call(call).await?;
        outcome(&body)
    };
    let served = async { Err(registry.serve().await) };
    let result = pulled.or(served).or(watch(&events, progress)).await;
    // podman's words about a broken connection may win the race; the cause is ours.
    while let Ok(event) = events.try_recv() {
        if let Event::Failed(error) = event {
            return Err(RuntimeError::Io(error));
        }
    }
    result
}

/// Reports progress; ends with an error if content cannot be read, or nothing happens for long.
async fn watch(events: &Receiver<Event>, progress: &dyn Fn(u64)) -> Result<(), RuntimeError> {
    let mut done = 0;
    loop {
        let event = async { events.recv().await.ok() };
        let silence = async {
            smol::Timer::after(SILENCE).await;
            None
        };
        match event.or(silence).await {
            Some(Event::Read(bytes)) => {
                done += bytes;
                progress(done);
            }
            Some(Event::Failed(error)) => return Err(RuntimeError::Io(error)),
            None => return Err(RuntimeError::TimedOut),
        }
    }
}

/// What became of a pull: JSON lines, errors among them.
fn outcome(body: &[u8]) -> Result<(), RuntimeError> {
    let mut found = false;
    for line in body.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let line: Pulled = decode(line)?;
        match line.error {
            Some(words) if !words.is_empty() => return Err(refused(500, &words)),
            _ => found |= line.id.is_some(),
        }
    }
    if found {
        Ok(())
    } else {
        Err(RuntimeError::Protocol("a pull without an outcome"))
    }
}

/// Gives an image its name, and takes those of the loopback registry.
async fn name(api: &Api, image: &ImageImport) -> Result<(), RuntimeError> {
    let path = format!("images/{}", image.id.hex());
    let inspected: Inspected = api.ask(Call::get(&format!("{path}/json"))).await?;
    let mut digests = inspected.repo_digests.iter().flatten();
    if digests.any(|name| name.starts_with(LOOPBACK)) {
        // podman cannot take one name with a digest, only all; others' are given back.
        api.call(Call::post(&format!("{path}/untag"))).await?;
        for name in inspected.tags() {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
            tag_as(api, &path, repository, tag).await?;
        }
    }
    tag_as(api, &path, &image.name, &image.id.short()).await
}

async fn tag_as(api: &Api, path: &str, repository: &str, tag: &str) -> Result<(), RuntimeError> {
    let call = Call::post(&format!("{path}/tag"));
    api.call(call.query("repo", repository).query("tag", tag))
        .await
        .map(drop)
}

/// Flushes the file system that holds podman's store. Blocks.
fn sync(store: &Path) -> Result<(), RuntimeError> {
    let synced = std::fs::File::open(store).and_then(|store| Ok(rustix::fs::syncfs(store)?));
    synced.map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull => RuntimeError::NoSpace,
        _ => RuntimeError::Io(error),
    })
}

pub(super) async fn list(api: &Api) -> Result<Vec<Digest>, RuntimeError> {
    let found: Option<Vec<Inspected>> = api.ask(Call::get("images/json").within(LOOK)).await?;
    let mut ids = Vec::new();
    for image in found.unwrap_or_default() {
        if image.tags().any(|tag| tag.starts_with(OURS)) {
            let id = image.id.parse();
            ids.push(id.map_err(|_| RuntimeError::Protocol("an image id"))?);
        }
    }
    Ok(ids)
}

pub(super) async fn remove(api: &Api, id: &Digest) -> Result<(), RuntimeError> {
    let look = Call::get(&format!("images/{}/json", id.hex()));
    let Some(image) = api.find::<Inspected>(look).await? else {
        return Ok(());
    };
    // Names first would leave a nameless image behind if a container uses it.
    let users = Call::get("containers/json").query("all", "true");
    let users: Vec<Container> = api.ask(users.filter("ancestor", &id.hex())?).await?;
    if let Some(user) = users.into_iter().next() {
        return Err(RuntimeError::Conflict(user.names.join(" ")));
    }
    let (ours, others): (Vec<&str>, Vec<&str>) =
        image.tags().partition(|tag| tag.starts_with(OURS));
    for tag in ours {
        gone(api.call(Call::delete(&format!("images/{tag}"))).await)?;
    }
    if others.is_empty() {
        gone(
            api.call(Call::delete(&format!("images/{}", id.hex())))
                .await,
        )?;
    }
    Ok(())
}
