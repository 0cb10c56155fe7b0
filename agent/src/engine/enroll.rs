//! Makes this device known to a relay (clauses D20 to D24).
//!
//! The key is durable before it is used, and the relay's answer before it is told. Never shows the
//! token.

use std::io;
use std::rc::Rc;

use relay_api::device::TOKEN_BYTES_MAX;

use super::{Engine, failure};
use crate::api::{EnrolledView, Failure, Secret};
use crate::relay::{Address, DeviceKey, GIVEN_BYTES_MAX, RemoteError, check_roots};

impl Engine {
    /// Enrols this device with a one-time token. A crash in the middle leaves it as it was; asked
    /// again with the same token, the relay gives the same answer.
    ///
    /// # Errors
    /// [`Failure`]: the relay refuses, does not answer, or cannot be trusted.
    pub(super) async fn enroll(
        self: &Rc<Self>,
        url: &str,
        token: Secret,
        ca: Option<String>,
    ) -> Result<EnrolledView, Failure> {
        let address = Address::parse(url).map_err(failure::relay_address)?;
        let token = token.0.trim().to_owned();
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(failure::token());
        }
        if let Some(pem) = &ca {
            if pem.len() > GIVEN_BYTES_MAX {
                let words = "the certificates are more than 64 KiB; name the relay's own only";
                return Err(failure::enroll(&RemoteError::Certificate(words.into())));
            }
            check_roots(pem, "the given file").map_err(|e| failure::enroll(&e))?;
        }
        let key = self
            .device_key()
            .map_err(|e| failure::io("the device's key", &e))?;
        let remote = self.dial(address.clone(), ca.clone(), key)?;
        let answer = remote
            .enroll(token)
            .await
            .map_err(|e| failure::enroll(&e))?;
        if answer.device != self.device {
            let words = RemoteError::Garbage("it names another device");
            return Err(failure::enroll(&words));
        }
        let joined = self.link.join(address.url().to_owned(), ca, remote);
        joined.map_err(|e| failure::io("the record of the enrolment", &e))?;
        log::info!("relay={} phase=enrolled", address.url());
        self.nudge();
        let labels = answer.labels.iter();
        Ok(EnrolledView {
            device: answer.device.to_string(),
            url: address.url().to_owned(),
            labels: labels
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        })
    }

    /// The device's key, new if there is none that can be used.
    fn device_key(&self) -> io::Result<DeviceKey> {
        let (vfs, dir) = (&*self.vfs, &self.config.state_dir);
        match DeviceKey::open(vfs, dir) {
            Ok(Some(key)) => return Ok(key),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                log::warn!("device.key is damaged: this device gets a new key");
            }
            Err(error) => return Err(error),
        }
        DeviceKey::make(vfs, dir)
    }
}
