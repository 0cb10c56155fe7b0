//! The built `relay` as the operator's tool: keys and bundles.
//!
//! Never passes a password: test keys have none.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::{Outcome, run};
use crate::{Sandbox, binary};

/// The `relay` program.
pub struct Relay {
    sandbox: Sandbox,
    program: PathBuf,
}

/// A release key pair in minisign's formats.
#[derive(Clone, Debug)]
pub struct Keys {
    /// `NAME.key`.
    pub secret: PathBuf,
    /// `NAME.pub`.
    pub public: PathBuf,
}

impl Relay {
    /// Finds or builds the program.
    ///
    /// # Errors
    /// When it does not build.
    pub fn new(sandbox: &Sandbox) -> Result<Self> {
        Ok(Self {
            sandbox: sandbox.clone(),
            program: binary("relay")?,
        })
    }

    /// The program itself.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs `relay` with these arguments, in the sandbox's folder.
    ///
    /// # Errors
    /// When it cannot be started; a failure of the command is in the outcome.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Result<Outcome> {
        self.run_with(arguments, &[])
    }

    /// As [`Self::run`], with these environment variables.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: &[S],
        environment: &[(&str, &str)],
    ) -> Result<Outcome> {
        let mut command = self.sandbox.command(&self.program)?;
        command.current_dir(self.sandbox.path()).args(arguments);
        command.envs(environment.iter().copied());
        run(&mut command)
    }

    /// `relay key new` without a password.
    ///
    /// # Errors
    /// When the command fails.
    pub fn new_keys(&self, name: &str) -> Result<Keys> {
        let out = self.sandbox.folder("release-keys")?.join(name);
        self.run(&[
            "key".as_ref(),
            "new".as_ref(),
            "--out".as_ref(),
            out.as_os_str(),
            "--no-password".as_ref(),
        ])?
        .ok()?;
        Ok(Keys {
            secret: out.with_extension("key"),
            public: out.with_extension("pub"),
        })
    }

    /// `relay pack`, ready to be given options.
    pub fn pack(&self, compose: &Path, keys: &Keys) -> Pack<'_> {
        let mut pack = Pack {
            relay: self,
            arguments: Vec::new(),
        };
        pack = pack.option("pack", compose).option("--key", &keys.secret);
        pack
    }
}

/// A `relay pack` in the making.
#[must_use]
pub struct Pack<'relay> {
    relay: &'relay Relay,
    arguments: Vec<std::ffi::OsString>,
}

impl Pack<'_> {
    /// An option with its value, as on the command line.
    pub fn option(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.arguments
            .extend([name.into(), value.as_ref().to_owned()]);
        self
    }

    /// `--app NAME --version V --seq N`.
    pub fn app(self, name: &str, version: &str, seq: u64) -> Self {
        self.option("--app", name)
            .option("--version", version)
            .option("--seq", seq.to_string())
    }

    /// `--image SERVICE=oci-archive:PATH`.
    pub fn image(self, service: &str, archive: &Path) -> Self {
        self.option(
            "--image",
            format!("{service}=oci-archive:{}", archive.display()),
        )
    }

    /// Packs for this machine to `NAME` in the sandbox's folder `bundles`; returns its path.
    ///
    /// # Errors
    /// When the command fails.
    pub fn to(self, name: &str) -> Result<PathBuf> {
        let path = self.relay.sandbox.folder("bundles")?.join(name);
        self.option("-o", &path).try_run()?.ok()?;
        Ok(path)
    }

    /// Runs it for this machine, where it may fail.
    ///
    /// # Errors
    /// When it cannot be started; a failure of the command is in the outcome.
    pub fn try_run(mut self) -> Result<Outcome> {
        if !self.arguments.iter().any(|argument| argument == "--arch") {
            self = self.option("--arch", test_images::Arch::host()?.name());
        }
        self.relay.run(&self.arguments)
    }
}
