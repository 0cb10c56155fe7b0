//! What the cases need of a runtime under test: images, services that behave, others' containers.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex};

use bundle::manifest::{ImageId, NetworkAttachment, NetworkMode, Service, Text};
use bundle::{AppName, Digest, NetworkName, ServiceName};
use runtime_shim::{ContainerId, ContainerSpec, ImageContent, ImageImport, Runtime, labels};

/// What a container's process does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// Runs until it is told to stop.
    Runs,
    /// Runs, and does not listen to its stop signal.
    IgnoresStop,
    /// Exits at once.
    Exits(i32),
    /// Takes more memory than it may.
    TakesMemory,
    /// Writes "out 1", "err 1" (to the other stream), "out 2", "out 3", one after the other, and
    /// exits.
    Prints,
    /// Runs; every command in it exits with 7 and has written "both streams".
    Commands,
    /// Runs; commands in it do not end.
    HangsCommands,
}

/// A runtime under test.
pub(crate) trait Fixture {
    fn runtime(&self) -> &dyn Runtime;
    /// Two versions of an image with a layer in common.
    fn images(&self) -> &[TestImage; 2];
    /// Makes a container behave.
    fn behave(&self, spec: &mut ContainerSpec, behaviour: Behaviour);
    /// Whether it tells a lack of memory from other kills; what it does not tell is reported.
    fn tells_oom(&self) -> bool;
    /// Runs a container that has nothing to do with Coracle.
    fn run_foreign(&self, name: &str);
    /// Whether such a container is there and runs.
    fn foreign_runs(&self, name: &str) -> bool;
}

/// An image in memory that notes what is read of it.
pub(crate) struct TestImage {
    pub(crate) import: ImageImport,
    pub(crate) content: Arc<Content>,
}

/// The bytes of an image's blobs.
#[derive(Default)]
pub(crate) struct Content {
    blobs: HashMap<Digest, Vec<u8>>,
    opened: Mutex<Vec<Digest>>,
    bad: Mutex<Option<Digest>>,
}

/// What reading tampered content says.
pub(crate) const TAMPERED: &str = "piece 3 is not what was signed";

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::InvalidData, TAMPERED))
    }
}

impl ImageContent for Content {
    fn open(&self, plain: &Digest) -> io::Result<Box<dyn Read + Send>> {
        self.opened.lock().unwrap().push(*plain);
        let bytes = self.blobs.get(plain).ok_or(io::ErrorKind::NotFound)?;
        if *self.bad.lock().unwrap() == Some(*plain) {
            // As a verifying reader does: the good part first, then the error.
            let half = bytes[..bytes.len() / 2].to_vec();
            return Ok(Box::new(Cursor::new(half).chain(Failing)));
        }
        Ok(Box::new(Cursor::new(bytes.clone())))
    }
}

impl Content {
    /// Which blobs were read since the last time, sorted, each once.
    pub(crate) fn take_opened(&self) -> Vec<Digest> {
        let mut opened = std::mem::take(&mut *self.opened.lock().unwrap());
        opened.sort();
        opened.dedup();
        opened
    }

    /// Makes reading this blob fail in the middle; none makes all good.
    pub(crate) fn tamper(&self, blob: Option<Digest>) {
        *self.bad.lock().unwrap() = blob;
    }
}

impl TestImage {
    /// An image of this configuration and these layers.
    pub(crate) fn new(name: &str, config: Vec<u8>, layers: Vec<Vec<u8>>) -> Self {
        let descriptor = |kind: &str, bytes: &[u8]| {
            let (digest, size) = (Digest::of(bytes), bytes.len());
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{size}}}"#
            )
        };
        let listed: Vec<_> = layers
            .iter()
            .map(|l| descriptor("layer.v1.tar", l))
            .collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
            descriptor("config.v1+json", &config),
            listed.join(",")
        )
        .into_bytes();
        let (id, config_bytes) = (Digest::of(&config), config.len() as u64);
        let sizes = layers
            .iter()
            .map(|l| (Digest::of(l), l.len() as u64))
            .collect();
        let blobs = layers
            .into_iter()
            .chain([config])
            .map(|b| (Digest::of(&b), b));
        let content = Arc::new(Content {
            blobs: blobs.collect(),
            ..Content::default()
        });
        let import = ImageImport {
            name: format!("localhost/coracle/{name}"),
            id,
            config_bytes,
            layers: sizes,
            manifest_digest: Digest::of(&manifest),
            manifest,
            content: Arc::clone(&content) as Arc<dyn ImageContent>,
        };
        Self { import, content }
    }

    pub(crate) fn layer(&self, n: usize) -> Digest {
        self.import.layers[n].0
    }
}

pub(crate) fn text(value: &str) -> Text {
    Text::new(value).unwrap()
}

pub(crate) fn texts(values: &[&str]) -> Vec<Text> {
    values.iter().map(|value| text(value)).collect()
}

pub(crate) fn app(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

/// A bridge network named `net` of the app.
pub(crate) fn bridge() -> NetworkMode {
    NetworkMode::Bridge(vec![NetworkAttachment {
        network: NetworkName::new("net").unwrap(),
        aliases: Vec::new(),
    }])
}

/// A container of `app_name` with nothing special, on the host's network.
pub(crate) fn spec(fixture: &dyn Fixture, app_name: &str, service: &str) -> ContainerSpec {
    let image = fixture.images()[0].import.id;
    let app = app(app_name);
    let all = [
        (labels::APP, app_name),
        (labels::SERVICE, service),
        (labels::GENERATION, "1"),
        (labels::SPEC, "spec-1"),
    ];
    let labels = all.map(|(key, value)| (key.to_owned(), value.to_owned()));
    ContainerSpec {
        name: format!("coracle-{app_name}-{service}-1"),
        app,
        image,
        service: self::service(service),
        labels: BTreeMap::from(labels),
        file_sources: Vec::new(),
        api_socket: None,
    }
}

fn service(name: &str) -> Service {
    Service {
        user: Some(text("0")),
        network: NetworkMode::Host,
        no_new_privileges: false,
        ..Service::new(ServiceName::new(name).unwrap(), ImageId(0))
    }
}

/// Imports the first image.
pub(crate) async fn import(fixture: &dyn Fixture) {
    let image = &fixture.images()[0].import;
    fixture
        .runtime()
        .import_image(image, &|_| ())
        .await
        .unwrap();
}

/// Creates a container that behaves so, its image imported.
pub(crate) async fn created(
    fixture: &dyn Fixture,
    mut spec: ContainerSpec,
    behaviour: Behaviour,
) -> ContainerId {
    import(fixture).await;
    fixture.behave(&mut spec, behaviour);
    fixture.runtime().create(&spec).await.unwrap()
}

/// As [`created`], and starts it.
pub(crate) async fn started(
    fixture: &dyn Fixture,
    spec: ContainerSpec,
    behaviour: Behaviour,
) -> ContainerId {
    let id = created(fixture, spec, behaviour).await;
    fixture.runtime().start(&id).await.unwrap();
    id
}

/// A case that hangs is a case that fails; none takes more than a few seconds.
pub(crate) async fn in_time(case: impl Future<Output = ()>) {
    let late = async {
        smol::Timer::after(std::time::Duration::from_secs(120)).await;
        panic!("the case did not end within two minutes");
    };
    smol::future::or(case, late).await;
}
