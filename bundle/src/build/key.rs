//! Release keys in minisign's own formats, and signing with them.
//!
//! Signatures are those of RFC 8032, without added randomness, so the same manifest and key give
//! the same bytes, as with stock minisign. Never prints or formats a secret.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use blake2::{Blake2b512, Digest as _};
use minisign::{KeyPair, SecretKeyBox};
use ring::signature::Ed25519KeyPair;

use super::error::KeyError;
use crate::base64;
use crate::minisig::{KeyId, Record};

/// Bytes of a secret key's text once decoded (minisign's manual, "Secret key format").
const SECRET_BYTES: usize = 158;
/// Where the key id lies in these, then the seed, then the public key.
const ID_AT: usize = 54;
const SEED_AT: usize = ID_AT + 8;
const PUBLIC_AT: usize = SEED_AT + 32;
const PUBLIC_END: usize = PUBLIC_AT + 32;

/// A new key pair: the text of the secret file and the text of the public one. With a password
/// the secret is encrypted by it, as minisign does.
///
/// # Errors
/// [`KeyError::Generate`].
pub fn generate(password: Option<&str>) -> Result<(String, String), KeyError> {
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password.into())),
        None => KeyPair::generate_unencrypted_keypair(),
    }
    .map_err(|_| KeyError::Generate)?;
    let secret = pair
        .sk
        .to_box(Some("Coracle release key: keep it secret"))
        .map_err(|_| KeyError::Generate)?;
    let public = pair.pk.to_bytes();
    let id = public
        .get(2..10)
        .and_then(|id| id.try_into().ok())
        .ok_or(KeyError::Generate)?;
    Ok((secret.into_string(), public_text(KeyId(id), &public)))
}

fn public_text(id: KeyId, bytes: &[u8]) -> String {
    format!(
        "untrusted comment: minisign public key {id}\n{}\n",
        base64::encode(bytes)
    )
}

/// A secret key, ready to sign.
pub struct SecretKey {
    id: KeyId,
    public: [u8; 32],
    pair: Ed25519KeyPair,
}

/// Shows the id only.
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.id)
    }
}

impl SecretKey {
    /// Reads a secret key's file. `password` is asked only if the key is encrypted.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(
        path: &Path,
        password: impl FnOnce() -> io::Result<String>,
    ) -> Result<Self, KeyError> {
        let text =
            fs::read_to_string(path).map_err(|error| KeyError::Read(path.to_path_buf(), error))?;
        Self::from_text(&text, password)
    }

    /// Reads the text of a secret key's file, as [`SecretKey::load`] does.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_text(
        text: &str,
        password: impl FnOnce() -> io::Result<String>,
    ) -> Result<Self, KeyError> {
        let bytes: [u8; SECRET_BYTES] = text
            .lines()
            .nth(1)
            .and_then(base64::decode)
            .ok_or(KeyError::Corrupt)?;
        match &bytes[2..4] {
            b"\0\0" => Self::from_bytes(&bytes).ok_or(KeyError::Corrupt),
            b"Sc" => {
                let password = password().map_err(KeyError::Password)?;
                let opened = SecretKeyBox::from(text.to_string())
                    .into_secret_key(Some(password))
                    .map_err(|_| KeyError::WrongPassword)?;
                Self::from_bytes(&opened.to_bytes()).ok_or(KeyError::Corrupt)
            }
            _ => Err(KeyError::Corrupt),
        }
    }

    /// Takes an open key apart. That the public half fits the seed is the check: the checksum
    /// is for passwords, and stock minisign leaves it zero in a key without one.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let public = bytes.get(PUBLIC_AT..PUBLIC_END)?;
        let seed = bytes.get(SEED_AT..PUBLIC_AT)?;
        Some(Self {
            id: KeyId(bytes.get(ID_AT..SEED_AT)?.try_into().ok()?),
            public: public.try_into().ok()?,
            pair: Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?,
        })
    }

    /// The id of the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The text of the public key's file, for the keys folder of devices.
    pub fn public_text(&self) -> String {
        let mut bytes = b"Ed".to_vec();
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(&self.public);
        public_text(self.id, &bytes)
    }

    /// Signs `message`, prehashed, with a trusted comment of one line.
    pub(crate) fn sign(&self, message: &[u8], comment: &str) -> Record {
        let signature = self.sign_bytes(&Blake2b512::digest(message));
        let mut with_comment = signature.to_vec();
        with_comment.extend_from_slice(comment.as_bytes());
        Record {
            key: self.id,
            signature,
            comment: comment.as_bytes().to_vec(),
            global: self.sign_bytes(&with_comment),
        }
    }

    fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.pair.sign(bytes).as_ref());
        out
    }
}
