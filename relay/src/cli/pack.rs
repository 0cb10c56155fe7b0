//! `relay pack`

use std::path::PathBuf;

use bundle::build::Compression;
use bundle::{AppName, Arch, DeviceId, Label, VersionLabel};

use super::failure::Failure;
use super::{password, render, time};
use crate::pack::source::Source;
use crate::pack::{Progress, Request};

/// Packs a Compose file and its images into one signed bundle
///
/// Reads the subset of Compose in docs/compose.md; any other key is an error that names its line.
/// The same input gives the same bytes, if --issued-at or SOURCE_DATE_EPOCH says when.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Image sources:
  oci-archive:PATH        what `podman save --format oci-archive` and `docker buildx -o type=oci` write
  oci:DIR                 an OCI layout
  docker-archive:PATH     what `docker save` writes
  podman:REF              podman's store, by $CONTAINER_HOST, the user's socket or /run/podman/podman.sock
  docker:REF              docker's store, by $DOCKER_HOST, the user's socket or /var/run/docker.sock
  registry:REF@sha256:…   a registry: HTTPS, or plain HTTP on this machine

Examples:
  relay pack compose.yaml --app kiosk --version 1.4.2 --seq 42 --arch arm64 \\
      --image web=oci-archive:web.tar --image broker=podman:localhost/mosquitto:2 \\
      --key release.key -o kiosk-1.4.2.bin

  Without --key, make a draft to be signed elsewhere:
    relay pack compose.yaml … --unsigned -o draft.bin
    relay bundle split draft.bin
    minisign -S -s offline.key -m manifest.bin
    relay bundle join draft.bin manifest.bin.minisig -o kiosk-1.4.2.bin")]
pub(crate) struct Args {
    /// The Compose file
    #[arg(value_name = "COMPOSE")]
    compose: PathBuf,

    /// The name of the app on devices
    #[arg(long, value_name = "NAME")]
    app: AppName,

    /// The version, as people write it
    #[arg(long, value_name = "VERSION")]
    version: VersionLabel,

    /// The sequence number: devices take only a higher one than they have
    #[arg(long, value_name = "N")]
    seq: u64,

    /// The architecture: amd64, arm64 or arm/v7
    #[arg(long)]
    arch: Arch,

    /// Where the image of a service comes from; may be repeated
    #[arg(long = "image", value_name = "SERVICE=SOURCE", value_parser = image)]
    images: Vec<(String, Source)>,

    /// A secret key that signs the bundle; up to four
    #[arg(
        long = "key",
        value_name = "FILE",
        required_unless_present = "unsigned"
    )]
    keys: Vec<PathBuf>,

    /// Sign nothing: the bundle is a draft, which every device refuses
    #[arg(long, conflicts_with = "keys")]
    unsigned: bool,

    /// Where to write the bundle; an existing file is replaced
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,

    /// The fleet that the bundle is for
    #[arg(long, default_value = "default")]
    fleet: Label,

    /// A device class that the bundle is for; may be repeated; none means any
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<Label>,

    /// A device that the bundle is for; may be repeated; none means any
    #[arg(long = "device", value_name = "ID")]
    devices: Vec<DeviceId>,

    /// The security floor: once committed, no bundle with a lower epoch runs again
    #[arg(long, value_name = "N", default_value_t = 0)]
    epoch: u64,

    /// When the bundle expires: RFC 3339 or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    not_after: Option<u64>,

    /// When the bundle is issued [default: SOURCE_DATE_EPOCH, else now]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    issued_at: Option<u64>,

    /// Values for ${NAME} in the Compose file, as lines of NAME=value
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,

    /// Credentials for registries [default: where podman and docker keep them]
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE")]
    registry_auth_file: Option<PathBuf>,

    /// How hard to compress, from 1 (fast) to 19 (small) [default: 12]
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=19))]
    compression: Option<u8>,

    /// Print the summary as JSON
    #[arg(long)]
    json: bool,

    /// Show no progress and no summary, only warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

/// `SERVICE=SOURCE`
fn image(text: &str) -> Result<(String, Source), String> {
    let (service, source) = text
        .split_once('=')
        .ok_or("expected SERVICE=SOURCE, such as web=oci-archive:web.tar")?;
    let source = source
        .parse::<Source>()
        .map_err(|error| match error.hint() {
            Some(hint) => format!("{error}: {hint}"),
            None => error.to_string(),
        })?;
    Ok((service.to_string(), source))
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let issued_at = match self.issued_at {
            Some(time) => time,
            None => time::issued_at()?,
        };
        if self.not_after.is_some_and(|end| end <= issued_at) {
            return Err(Failure::usage(
                "--not-after lies before the bundle is issued, so no device would take it",
            ));
        }
        let request = Request {
            compose: self.compose,
            app: self.app,
            version: self.version,
            seq: self.seq,
            epoch: self.epoch,
            arch: self.arch,
            fleet: self.fleet,
            classes: self.classes,
            devices: self.devices,
            issued_at,
            not_after: self.not_after,
            images: self.images,
            env_file: self.env_file,
            registry_auth_file: self.registry_auth_file,
            keys: self.keys,
            compression: self
                .compression
                .map_or_else(Compression::default, |level| Compression::Zstd { level }),
            out: self.out,
        };
        let progress = Progress::new(self.quiet);
        let report = crate::pack::pack(&request, &password::existing, &progress)?;
        drop(progress);
        if self.json {
            render::json(&report)
        } else if self.quiet {
            Ok(())
        } else {
            render::packed(&report);
            Ok(())
        }
    }
}
