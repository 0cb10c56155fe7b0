//! A relay that serves: the built `relay serve` with TLS on loopback, and its operator.
//!
//! Never listens on anything but loopback, and never reads what `relay login` stored on the
//! machine.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Background, Outcome, run};
use crate::{Relay, Sandbox};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// A relay and its first operator. It can be stopped and started again, on the same data and at
/// the same address.
pub struct RelayServer {
    relay: Relay,
    sandbox: Sandbox,
    folder: PathBuf,
    options: Vec<String>,
    address: String,
    process: Option<Background>,
}

impl RelayServer {
    /// Starts a relay on an ephemeral port with a certificate of its own; `options` go to
    /// `relay serve` besides.
    ///
    /// # Errors
    /// When the program does not build, or does not listen in time.
    pub fn start(sandbox: &Sandbox, options: &[&str]) -> Result<Self> {
        let folder = sandbox.folder("relay")?;
        let mut server = Self {
            relay: Relay::new(sandbox)?,
            sandbox: sandbox.clone(),
            folder,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            address: "127.0.0.1:0".to_owned(),
            process: None,
        };
        server.resume()?;
        Ok(server)
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`].
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = self.sandbox.command(self.relay.program())?;
        command.arg("serve").args(["--listen", &self.address]);
        command.arg("--data").arg(self.folder.join("data"));
        command.arg("--dev-ca").arg(self.folder.join("ca"));
        let token_file = self.folder.join("admin-token");
        command.arg("--admin-token-file").arg(token_file);
        command.args(&self.options);
        let log = self.log();
        // What an earlier process wrote must not be taken for this one's.
        let before = fs::read(&log).map_or(0, |bytes| bytes.len());
        let mut process = Background::start("the relay", &mut command, &log)?;
        self.address = process.wait_ready(START_DEADLINE, |output| {
            let (_, rest) = output.get(before..)?.split_once("listens on https://")?;
            let end = rest.find(char::is_whitespace)?;
            Some(rest[..end].to_owned())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate authority that devices and operators must trust.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca/ca.pem")
    }

    /// Has its authority sign a certificate for another server on loopback: `cert.pem` and
    /// `key.pem` in this folder.
    ///
    /// # Errors
    /// When openssl is missing or fails.
    pub fn sign_certificate(&self, folder: &Path) -> Result<()> {
        let authority = self.folder.join("ca");
        let names = folder.join("names");
        fs::write(&names, "subjectAltName=IP:127.0.0.1,DNS:localhost\n")?;
        let mut request = self.sandbox.command("openssl")?;
        request
            .args([
                "req", "-new", "-newkey", "ec", "-nodes", "-subj", "/CN=test",
            ])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout"])
            .arg(folder.join("key.pem"))
            .arg("-out")
            .arg(folder.join("request.pem"));
        run(&mut request)?.ok()?;
        let mut sign = self.sandbox.command("openssl")?;
        sign.args(["x509", "-req", "-days", "2", "-in"])
            .arg(folder.join("request.pem"))
            .arg("-CA")
            .arg(authority.join("ca.pem"))
            .arg("-CAkey")
            .arg(authority.join("ca.key"))
            .arg("-CAserial")
            .arg(folder.join("serial"))
            .args(["-CAcreateserial", "-extfile"])
            .arg(names)
            .arg("-out")
            .arg(folder.join("cert.pem"));
        run(&mut sign)?.ok()?;
        // Whatever user a server in a container runs as.
        fs::set_permissions(folder.join("key.pem"), Permissions::from_mode(0o644))?;
        Ok(())
    }

    /// Its `--data` folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The file that it logs to.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("relay.log")
    }

    /// Its process id, if it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Background::id)
    }

    /// The first operator's token.
    ///
    /// # Errors
    /// When the relay has not written it.
    pub fn admin_token(&self) -> Result<String> {
        let path = self.folder.join("admin-token");
        let text = fs::read_to_string(&path).context("the admin's token")?;
        Ok(text.trim().to_owned())
    }

    /// Runs an operator's command against it, as the first operator.
    ///
    /// # Errors
    /// When it cannot be started; a failure of the command is in the outcome.
    pub fn operator<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Outcome> {
        let (url, ca, token) = (self.url(), self.ca(), self.admin_token()?);
        let ca = ca.to_str().context("a path that is not UTF-8")?;
        let environment = [
            ("CORACLE_RELAY_URL", url.as_str()),
            ("CORACLE_RELAY_CA", ca),
            ("CORACLE_TOKEN", &token),
        ];
        self.relay.run_with(arguments, &environment)
    }

    /// What an operator's command prints with `-o json`.
    ///
    /// # Errors
    /// When it fails, or prints no JSON.
    pub fn ask(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let arguments = [arguments, &["-o", "json"]].concat();
        self.operator(&arguments)?.json()
    }

    /// A fresh enrolment token with these labels, `name=value` each.
    ///
    /// # Errors
    /// As [`Self::operator`].
    pub fn enroll_token(&self, labels: &[&str]) -> Result<String> {
        let mut arguments = vec!["token", "enroll", "--ttl", "1h"];
        for label in labels {
            arguments.extend(["--label", label]);
        }
        let printed = self.operator(&arguments)?.ok()?.stdout;
        Ok(printed.trim().to_owned())
    }

    /// Publishes a bundle.
    ///
    /// # Errors
    /// As [`Self::operator`].
    pub fn publish(&self, bundle: &Path) -> Result<Outcome> {
        self.operator(&[OsStr::new("publish"), bundle.as_os_str()])?
            .ok()
    }

    /// Starts a rollout; returns its id.
    ///
    /// # Errors
    /// As [`Self::operator`].
    pub fn roll_out(&self, release: &str, selector: &str) -> Result<u64> {
        let started = self.ask(&["rollout", "start", release, "--to", selector])?;
        started["id"]
            .as_u64()
            .with_context(|| format!("no id: {started}"))
    }

    /// `rollout status ID`.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn rollout(&self, id: u64) -> Result<serde_json::Value> {
        self.ask(&["rollout", "status", &id.to_string()])
    }

    /// Ends it as `kill -9` does.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().map(drop),
            None => Ok(()),
        }
    }

    /// Asks it to end, and returns its exit code.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&mut self) -> Result<i32> {
        let mut process = self.process.take().context("the relay does not run")?;
        process.stop()
    }
}
