//! `relay key`

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bundle::TrustStore;
use bundle::build::key;
use serde::Serialize;

use super::failure::Failure;
use super::{password, render};

/// Makes and shows release keys
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    New(New),
    Show(Show),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::New(args) => args.run(),
            Self::Show(args) => args.run(),
        }
    }
}

/// Makes a release key: NAME.key signs, NAME.pub goes onto devices
///
/// Both are in minisign's own formats. The password comes from CORACLE_KEY_PASSWORD or is asked
/// for. Keep NAME.key where only the release process reaches it: whoever has it decides what
/// devices run.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  relay key new --out release
  install -m 644 release.pub /etc/coracle/keys/        (on the device)")]
pub(crate) struct New {
    /// Where to write NAME.key and NAME.pub
    #[arg(long, value_name = "NAME")]
    out: PathBuf,

    /// Do not encrypt the secret key
    #[arg(long)]
    no_password: bool,

    /// Replace files that are there
    #[arg(long)]
    force: bool,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made {
    secret: PathBuf,
    public: PathBuf,
    key: String,
    encrypted: bool,
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let with = |ending: &str| {
            let mut path = self.out.clone().into_os_string();
            path.push(ending);
            PathBuf::from(path)
        };
        let (secret_path, public_path) = (with(".key"), with(".pub"));
        if !self.force {
            for path in [&secret_path, &public_path] {
                if path.symlink_metadata().is_ok() {
                    return Err(Failure::new(format_args!(
                        "{} is there already",
                        path.display()
                    ))
                    .hint("choose another name, or replace it with --force: bundles signed by a lost key cannot be followed up"));
                }
            }
        }
        let password = if self.no_password {
            None
        } else {
            Some(password::new()?).filter(|password| !password.is_empty())
        };
        let (secret, public) = key::generate(password.as_deref())?;
        write(&secret_path, &secret, 0o600).map_err(Failure::io(&secret_path))?;
        write(&public_path, &public, 0o644).map_err(Failure::io(&public_path))?;
        let made = Made {
            key: key_id(&public).map_err(Failure::new)?,
            secret: secret_path,
            public: public_path,
            encrypted: password.is_some(),
        };
        if self.json {
            return render::json(&made);
        }
        render::table(&[
            ("key", made.key),
            (
                "secret",
                format!(
                    "{} ({}: keep it safe)",
                    made.secret.display(),
                    if made.encrypted {
                        "encrypted"
                    } else {
                        "not encrypted"
                    }
                ),
            ),
            (
                "public",
                format!(
                    "{} (goes into /etc/coracle/keys on devices)",
                    made.public.display()
                ),
            ),
        ]);
        Ok(())
    }
}

/// Writes a file whole or not at all, with this mode from the first byte on.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn key_id(public: &str) -> Result<String, bundle::TrustError> {
    let store = TrustStore::from_keys(vec![(None, public.to_string())])?;
    let id = store.keys().first().map(|key| key.id().to_string());
    Ok(id.unwrap_or_default())
}

/// Shows the id of a key, secret or public
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// A .pub or .key file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    key: String,
    kind: &'static str,
    public: String,
}

impl Show {
    fn run(self) -> Result<(), Failure> {
        let text = fs::read_to_string(&self.file).map_err(Failure::io(&self.file))?;
        let shown = match key_id(&text) {
            Ok(key) => Shown {
                key,
                kind: "public",
                public: text,
            },
            Err(_) => {
                let secret = key::SecretKey::from_text(&text, || password::existing(&self.file))
                    .map_err(|error| {
                        Failure::new(format_args!("{}: {error}", self.file.display()))
                    })?;
                Shown {
                    key: secret.id().to_string(),
                    kind: "secret",
                    public: secret.public_text(),
                }
            }
        };
        if self.json {
            return render::json(&shown);
        }
        let line = shown.public.lines().nth(1).unwrap_or_default().to_string();
        render::table(&[
            ("key", shown.key),
            ("kind", shown.kind.to_string()),
            ("public", line),
        ]);
        Ok(())
    }
}
