//! Whether a service may mount the device's paths that it names, once links are followed.
//!
//! The signed manifest is judged by its text when a bundle is admitted; what a path leads to can
//! change until it is mounted, so it is judged again then. Never follows a link inside a
//! container.

use std::fs;
use std::path::{Path, PathBuf};

use agent_core::admit::NotAdmitted;
use bundle::manifest::{Service, Text};

use super::Engine;
use super::failure;
use super::trouble::Trouble;
use crate::api::Failure;

impl Engine {
    /// Whether a service's binds lead where the device's own rules allow; without rules of its
    /// owner, never into the agent's own folders.
    ///
    /// # Errors
    /// [`NotAdmitted::Bind`], or a policy file that cannot be used.
    pub(crate) fn check_binds(&self, service: &Service) -> Result<(), BindError> {
        if service.binds.is_empty() {
            return Ok(());
        }
        let policy = self.local_policy().map_err(BindError::Policy)?;
        for bind in &service.binds {
            let path = resolved(Path::new(bind.source.as_str()));
            let own = policy.binds.is_none() && self.own_paths().any(|own| overlap(&own, &path));
            let allowed = path.to_str().is_some_and(|path| policy.bind_allowed(path));
            if own || !allowed {
                return Err(BindError::NotAdmitted(NotAdmitted::Bind {
                    service: service.name.clone(),
                    found: found(&bind.source, &path),
                    wanted: policy.binds.clone(),
                }));
            }
        }
        Ok(())
    }

    /// What a container must not get hold of, wherever the configuration has put it.
    fn own_paths(&self) -> impl Iterator<Item = PathBuf> {
        let config = &self.config;
        [
            &config.state_dir,
            &config.keys_dir,
            &config.policy_file,
            &config.control_socket,
        ]
        .map(|path| resolved(path))
        .into_iter()
    }
}

/// Why a service may not have its binds.
pub(crate) enum BindError {
    NotAdmitted(NotAdmitted),
    Policy(Failure),
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        match error {
            BindError::NotAdmitted(refused) => failure::not_admitted(&refused),
            BindError::Policy(failure) => failure,
        }
    }
}

impl From<BindError> for Trouble {
    fn from(error: BindError) -> Self {
        match error {
            BindError::NotAdmitted(refused) => Self::NotAllowed(refused),
            BindError::Policy(failure) => Self::Policy(failure.message),
        }
    }
}

/// The path without links; of one that does not exist, the part that does.
fn resolved(path: &Path) -> PathBuf {
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (fs::canonicalize(there), path.strip_prefix(there)) {
            return if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            };
        }
    }
    path.to_path_buf()
}

fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn found(asked: &Text, leads_to: &Path) -> Text {
    let leads_to = leads_to.to_string_lossy();
    if *leads_to == **asked {
        return asked.clone();
    }
    Text::new(format!("{asked} (which is {leads_to})")).unwrap_or_else(|| asked.clone())
}
