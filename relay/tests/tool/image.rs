//! Tiny images made by hand, in every form that images come in.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use bundle::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;

/// When the images say they were made.
pub(crate) const CREATED: u64 = 1_700_000_000;

/// How a layer lies in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

/// An image: its layers' plain tars.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) architecture: &'static str,
    pub(crate) variant: Option<&'static str>,
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) encoding: Encoding,
    /// Makes the configuration promise other layers than there are.
    pub(crate) lie: bool,
}

/// A layer with one file.
pub(crate) fn layer(name: &str, content: &[u8], mtime: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(mtime);
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

/// An image of two layers, `text` in the second.
pub(crate) fn image(text: &str) -> Image {
    let noise: Vec<u8> = (0..200_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    Image {
        architecture: "amd64",
        variant: None,
        layers: vec![
            layer("base", &noise, CREATED),
            layer("text", text.as_bytes(), 5),
        ],
        encoding: Encoding::Plain,
        lie: false,
    }
}

impl Image {
    pub(crate) fn encoded(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    pub(crate) fn architecture(
        mut self,
        architecture: &'static str,
        variant: Option<&'static str>,
    ) -> Self {
        self.architecture = architecture;
        self.variant = variant;
        self
    }

    pub(crate) fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<String> = self
            .layers
            .iter()
            .map(|layer| {
                let lie = if self.lie { &b"other"[..] } else { layer };
                format!("{:?}", Digest::of(lie).to_string())
            })
            .collect();
        let variant = self.variant.map_or(String::new(), |variant| {
            format!(r#","variant":"{variant}""#)
        });
        format!(
            r#"{{"architecture":"{}"{variant},"os":"linux","created":"2023-11-14T22:13:20Z","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            self.architecture,
            diff_ids.join(",")
        )
        .into_bytes()
    }

    /// The image id.
    pub(crate) fn id(&self) -> String {
        Digest::of(&self.config()).to_string()
    }

    fn stored(&self) -> Vec<Vec<u8>> {
        let encode = |layer: &Vec<u8>| match self.encoding {
            Encoding::Plain => layer.clone(),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(layer).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zstd => zstd::encode_all(&layer[..], 1).unwrap(),
        };
        self.layers.iter().map(encode).collect()
    }

    /// The manifest and all blobs.
    fn parts(&self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let ending = match self.encoding {
            Encoding::Plain => "",
            Encoding::Gzip => "+gzip",
            Encoding::Zstd => "+zstd",
        };
        let descriptor = |kind: &str, bytes: &[u8]| {
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{}","size":{}}}"#,
                Digest::of(bytes),
                bytes.len()
            )
        };
        let (config, stored) = (self.config(), self.stored());
        let layers: Vec<String> = stored
            .iter()
            .map(|layer| descriptor(&format!("layer.v1.tar{ending}"), layer))
            .collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
            descriptor("config.v1+json", &config),
            layers.join(",")
        );
        let mut blobs = stored;
        blobs.push(config);
        (manifest.into_bytes(), blobs)
    }

    /// A docker archive, its second layer a link to the first if they are the same.
    pub(crate) fn write_docker_archive(&self, path: &Path) {
        let mut builder = tar::Builder::new(File::create(path).unwrap());
        let stored = self.stored();
        let mut names = Vec::new();
        for (index, layer) in stored.iter().enumerate() {
            let name = format!("l{index}/layer.tar");
            match stored[..index].iter().position(|other| other == layer) {
                None => append(&mut builder, &name, layer),
                Some(first) => {
                    let mut header = tar::Header::new_gnu();
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    let target = format!("../l{first}/layer.tar");
                    builder.append_link(&mut header, &name, target).unwrap();
                }
            }
            names.push(format!("{name:?}"));
        }
        let config = self.config();
        let config_name = format!("{}.json", Digest::of(&config).hex());
        append(&mut builder, &config_name, &config);
        let manifest = format!(
            r#"[{{"Config":"{config_name}","RepoTags":null,"Layers":[{}]}}]"#,
            names.join(",")
        );
        append(&mut builder, "manifest.json", manifest.as_bytes());
        builder.finish().unwrap();
    }
}

/// An OCI layout with these images in its index; several come with platforms.
pub(crate) fn write_layout(folder: &Path, images: &[&Image]) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let mut descriptors = Vec::new();
    for image in images {
        let (manifest, parts) = image.parts();
        for part in parts.iter().chain([&manifest]) {
            fs::write(blobs.join(Digest::of(part).hex()), part).unwrap();
        }
        let variant = image.variant.map_or(String::new(), |variant| {
            format!(r#","variant":"{variant}""#)
        });
        let platform = match images.len() {
            1 => String::new(),
            _ => format!(
                r#","platform":{{"os":"linux","architecture":"{}"{variant}}}"#,
                image.architecture
            ),
        };
        descriptors.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{}{platform}}}"#,
            Digest::of(&manifest),
            manifest.len()
        ));
    }
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
        descriptors.join(",")
    );
    fs::write(folder.join("index.json"), index).unwrap();
}

/// The same as a tar.
pub(crate) fn write_archive(path: &Path, images: &[&Image]) {
    let folder = tempfile::tempdir().unwrap();
    write_layout(folder.path(), images);
    let mut builder = tar::Builder::new(File::create(path).unwrap());
    builder.append_dir_all(".", folder.path()).unwrap();
    builder.finish().unwrap();
}

fn append(builder: &mut tar::Builder<File>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content).unwrap();
}
