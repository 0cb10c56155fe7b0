//! A relay with an operator beside it.

use std::process::{Output, Stdio};
use std::sync::Arc;

use crate::device::Device;
use crate::image::image;
use crate::run::{Place, Said, said};
use crate::server::Server;

/// A relay with a CA of its own, which ends with the test, and an operator beside it.
pub(crate) struct Relay {
    pub(crate) place: Arc<Place>,
    pub(crate) url: String,
    server: Option<Server>,
}

impl Relay {
    /// Starts one; nobody is logged in.
    pub(crate) fn start() -> Self {
        Self::of(Server::start(&[]))
    }

    fn of(server: Server) -> Self {
        Self {
            place: Arc::clone(&server.place),
            url: server.url.clone(),
            server: Some(server),
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

    /// Begins a command that stays; the function waits for its end.
    pub(crate) fn begin(&self, arguments: &[&str]) -> impl FnOnce() -> Said {
        let mut command = self.place.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        move || {
            let output: Output = child.wait_with_output().unwrap();
            output.into()
        }
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

    /// A device of site=harbour, enrolled with a token of `relay token enroll`; as it says that it
    /// is after `change`.
    pub(crate) async fn device(
        &self,
        id: &str,
        change: impl FnOnce(&mut relay_api::device::DeviceFacts),
    ) -> Device {
        let token = self.run(&["token", "enroll", "--label", "site=harbour"]);
        let server = self.server.as_ref().unwrap();
        let device = Device::new(server, id);
        let mut asked = device.enroll_request(token.ok().trim());
        change(&mut asked.facts);
        device.enroll_as(&asked).await.ok(200);
        device
    }

    /// What the relay has logged.
    pub(crate) fn log(&self) -> String {
        self.server.as_ref().unwrap().log()
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again, on another port.
    pub(crate) fn again(self) -> Self {
        Self::of(Server::start_in(Arc::clone(&self.place), &[]))
    }
}
