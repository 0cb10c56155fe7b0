//! Runs the program in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::image::{self, Image};

/// A folder with a key and a Compose file of one service `web`.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Standard output, of a command that must have worked.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    /// Standard error, of a command that must have failed with this code.
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "");
        self.err
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("compose.yaml", "services:\n  web:\n    restart: always\n");
        place
            .relay(&["key", "new", "--out", "release", "--no-password"])
            .ok();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Names of the files, without hidden temporary ones that should not be there.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with('.')).collect()
    }

    /// An OCI archive of one image; returns its source.
    pub(crate) fn archive(&self, name: &str, image: &Image) -> String {
        image::write_archive(&self.path(name), &[image]);
        format!("oci-archive:{name}")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn relay(&self, arguments: &[&str]) -> Said {
        said(&mut self.command(arguments))
    }

    /// `relay pack` with what every pack needs, quickly compressed, and these arguments.
    pub(crate) fn pack_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&["pack", "compose.yaml", "--app", "kiosk"]);
        command.args(["--version", "1.0", "--seq", "1", "--arch", "amd64"]);
        command.args(["--issued-at", "1700000000", "--compression", "1"]);
        command.args(["--key", "release.key", "-o", "out.bin"]);
        command.args(arguments);
        command
    }

    pub(crate) fn pack(&self, arguments: &[&str]) -> Said {
        said(&mut self.pack_command(arguments))
    }

    /// The manifest of `out.bin` as `relay bundle inspect --json` shows it.
    pub(crate) fn inspect(&self) -> serde_json::Value {
        let text = self.relay(&["bundle", "inspect", "--json", "out.bin"]).ok();
        serde_json::from_str(&text).unwrap()
    }

    /// Packs, verifies with every digest, and returns the id of the image of `web`.
    pub(crate) fn packed_image_id(&self, source: &str) -> String {
        self.pack(&["--image", &format!("web={source}")]).ok();
        self.relay(&["bundle", "verify", "--pub", "release.pub", "out.bin"])
            .ok();
        self.inspect()["images"][0]["image_id"]
            .as_str()
            .unwrap()
            .to_string()
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn said(command: &mut Command) -> Said {
    command.output().unwrap().into()
}

/// Runs stock minisign, if it is there.
pub(crate) fn minisign(folder: &Path, arguments: &[&str]) -> Option<Said> {
    let mut command = Command::new("minisign");
    command.current_dir(folder).args(arguments);
    match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("not run: minisign is not installed");
            None
        }
        _ => Some(said(&mut command)),
    }
}
