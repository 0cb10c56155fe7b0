//! A relay that ends with the test.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::image::image;
use crate::run::{Place, Said, said};

/// A relay with a CA of its own, and an operator beside it.
pub(crate) struct Relay {
    pub(crate) place: Place,
    pub(crate) url: String,
    process: Child,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Relay {
    /// Starts one; nobody is logged in.
    pub(crate) fn start() -> Self {
        let place = Place::new();
        let mut command = place.command(&["serve", "--data", "data", "--listen", "127.0.0.1:0"]);
        command.args(["--dev-ca", "ca", "--admin-token-file", "admin.token"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let url = line
            .trim()
            .strip_prefix("relay listens on ")
            .unwrap()
            .into();
        Self {
            place,
            url,
            process,
        }
    }

    /// Starts one, and logs in as its admin.
    pub(crate) fn logged_in() -> Self {
        let relay = Self::start();
        relay.login(&["--token-file", "admin.token"]).ok();
        relay
    }

    pub(crate) fn login(&self, arguments: &[&str]) -> Said {
        let all = [&["login", &self.url, "--ca", "ca/ca.pem"], arguments].concat();
        self.place.relay(&all)
    }

    /// Runs a command as whoever is logged in.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.place.relay(arguments)
    }

    /// What a command says to a program.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let said = self.run(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&said.ok()).unwrap()
    }

    /// Packs `out.bin`: kiosk 1.0 for amd64.
    pub(crate) fn pack(&self) {
        let web = format!("web={}", self.place.archive("web.tar", &image("web")));
        self.place.pack(&["--image", &web]).ok();
    }

    /// Runs a command with this in its environment, and nobody logged in.
    pub(crate) fn with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Said {
        let mut command = self.place.command(arguments);
        command.envs(environment.iter().copied());
        command.env("XDG_CONFIG_HOME", self.place.path("nobody"));
        said(&mut command)
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
