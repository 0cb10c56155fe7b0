//! The tie between this device and its relay: a small file of its own, `relay.jsonl`.
//!
//! Two lines: the record as JSON, and the SHA-256 of that line, so that a flipped bit is not taken
//! for the relay's word. Written only when something in it changes; the time of the last contact
//! goes along, and is no change by itself. The security of what runs never rests on it.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use bundle::{AppName, Digest};
use relay_api::device::AppVariables;
use serde::{Deserialize, Serialize};

use super::vfs::{self, Vfs};

/// Most bytes of the file: an answer's variables, certificates, and the rest.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Most rollouts whose attempts are remembered: a dozen apps, some years of a rollout at a time.
const ROLLOUTS_MAX: usize = 128;

/// What the device remembers of its relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LinkRecord {
    /// The relay's address, as given at enrolment.
    pub(crate) url: String,
    /// The certificates of its authority in PEM, if they were given.
    pub(crate) ca: Option<String>,
    /// The revision of the last answer that was taken in; 0 if none was (clause D31).
    pub(crate) revision: u64,
    /// Its interval, in seconds; 0 if none was given.
    pub(crate) interval_s: u32,
    /// The values that it gives (clause D36).
    pub(crate) variables: Vec<AppVariables>,
    /// Until when it asked not to be asked (clause D6).
    pub(crate) wait: Option<Wait>,
    /// The rollouts that were tried here, oldest first (clause D34).
    pub(crate) rollouts: Vec<Rollout>,
    /// When it last answered: seconds since 1970-01-01 UTC, by this device's clock.
    pub(crate) last_contact: Option<u64>,
}

/// A wait that the relay asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wait {
    /// Its end, by this device's wall clock: seconds since 1970-01-01 UTC.
    pub(crate) until: u64,
    /// How long it is as a whole, in seconds: a wall clock that was set back makes it no longer.
    pub(crate) length_s: u64,
}

impl Wait {
    /// What is left of it, in seconds.
    pub(crate) fn left_s(&self, now_s: u64) -> u64 {
        self.until.saturating_sub(now_s).min(self.length_s)
    }
}

/// A rollout's attempt at an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollout {
    /// The app.
    pub(crate) app: AppName,
    /// The rollout's number at the relay.
    pub(crate) rollout: u64,
    /// The bundle that it wanted.
    pub(crate) bundle: Digest,
    /// The generation whose end was the app's last one when the attempt began; 0 if none.
    pub(crate) after: u32,
    /// The exit code that it ended with for good; none while it is open.
    pub(crate) code: Option<u8>,
}

impl LinkRecord {
    /// The attempt of a rollout at an app with a bundle.
    pub(crate) fn attempt(&self, app: &AppName, rollout: u64, bundle: &Digest) -> Option<&Rollout> {
        let mut all = self.rollouts.iter();
        all.find(|known| known.is(app, rollout, bundle))
    }

    /// Notes an attempt, in the place of an earlier note of it; forgets the oldest over the bound.
    pub(crate) fn note(&mut self, attempt: Rollout) {
        let same = |known: &&mut Rollout| known.is(&attempt.app, attempt.rollout, &attempt.bundle);
        if let Some(known) = self.rollouts.iter_mut().find(same) {
            *known = attempt;
            return;
        }
        if self.rollouts.len() >= ROLLOUTS_MAX {
            self.rollouts.remove(0);
        }
        self.rollouts.push(attempt);
    }
}

impl Rollout {
    fn is(&self, app: &AppName, rollout: u64, bundle: &Digest) -> bool {
        self.app == *app && self.rollout == rollout && self.bundle == *bundle
    }
}

/// The file `relay.jsonl`.
pub(crate) struct LinkFile {
    vfs: Rc<dyn Vfs>,
    path: PathBuf,
}

/// The file was there and is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl LinkFile {
    /// The record in this file, which need not exist yet.
    pub(crate) fn new(vfs: Rc<dyn Vfs>, path: PathBuf) -> Self {
        Self { vfs, path }
    }

    /// What is in it; none if there is no file.
    ///
    /// # Errors
    /// [`Damaged`], also if it cannot be read.
    pub(crate) fn read(&self) -> Result<Option<LinkRecord>, Damaged> {
        let bytes = vfs::read(&*self.vfs, &self.path, FILE_BYTES_MAX).map_err(|_| Damaged)?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let (Some(record), Some(sum)) = (lines.next(), lines.next()) else {
            return Err(Damaged);
        };
        if sum != sum_line(record).as_bytes() {
            return Err(Damaged);
        }
        serde_json::from_slice(record)
            .map(Some)
            .map_err(|_| Damaged)
    }

    /// Puts a record in the place of the one before. A crash in the middle leaves either.
    ///
    /// # Errors
    /// What writing gives; the old one is then still there.
    pub(crate) fn write(&self, record: &LinkRecord) -> io::Result<()> {
        let mut text = serde_json::to_vec(record)?;
        let sum = sum_line(&text);
        text.push(b'\n');
        text.extend(sum.as_bytes());
        text.push(b'\n');
        vfs::replace(&*self.vfs, &self.path, &text, 0o600)
    }
}

/// The second line: the first one's digest, a JSON string.
fn sum_line(record: &[u8]) -> String {
    format!("\"{}\"", Digest::of(record))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::state::vfs::RealVfs;

    fn rollout(number: u64) -> Rollout {
        Rollout {
            app: "shop".parse().unwrap(),
            rollout: number,
            bundle: Digest::of(b"bundle"),
            after: 3,
            code: Some(20),
        }
    }

    fn record() -> LinkRecord {
        LinkRecord {
            url: "https://relay.example".into(),
            ca: Some("-----BEGIN CERTIFICATE-----\n".into()),
            revision: 7,
            interval_s: 60,
            variables: vec![AppVariables {
                app: "shop".parse().unwrap(),
                values: vec![("SITE".parse().unwrap(), "Harbour".into())],
            }],
            wait: Some(Wait {
                until: 1_750_000_000,
                length_s: 30,
            }),
            rollouts: vec![rollout(5)],
            last_contact: Some(1_749_999_999),
        }
    }

    #[test]
    fn a_record_comes_back_as_it_went() {
        let dir = tempfile::tempdir().unwrap();
        let file = LinkFile::new(Rc::new(RealVfs), dir.path().join("relay.jsonl"));
        assert_eq!(file.read(), Ok(None));
        file.write(&record()).unwrap();
        assert_eq!(file.read(), Ok(Some(record())));
    }

    #[test]
    fn a_record_with_any_bit_flipped_or_cut_off_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.jsonl");
        let file = LinkFile::new(Rc::new(RealVfs), path.clone());
        file.write(&record()).unwrap();
        let whole = fs::read(&path).unwrap();
        // The last line feed says nothing.
        for at in 0..whole.len() - 1 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(file.read(), Err(Damaged), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(file.read(), Err(Damaged), "first {at} bytes");
        }
    }

    #[test]
    fn what_a_newer_agent_adds_is_left_and_what_an_older_one_lacks_has_a_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.jsonl");
        let line = "{\"url\":\"https://relay.example\",\"new\":1}";
        let text = format!("{line}\n{}\n", sum_line(line.as_bytes()));
        fs::write(&path, text).unwrap();
        let read = LinkFile::new(Rc::new(RealVfs), path).read();
        let wanted = LinkRecord {
            url: "https://relay.example".into(),
            ..LinkRecord::default()
        };
        assert_eq!(read, Ok(Some(wanted)));
    }

    #[test]
    fn attempts_are_noted_once_and_bounded() {
        let mut record = record();
        for number in 0..200 {
            record.note(rollout(number));
            record.note(Rollout {
                code: None,
                ..rollout(number)
            });
        }
        assert_eq!(record.rollouts.len(), ROLLOUTS_MAX);
        let attempt = |number| record.attempt(&rollout(0).app, number, &rollout(0).bundle);
        assert_eq!(attempt(199).unwrap().code, None);
        assert_eq!(attempt(0), None);
    }

    #[test]
    fn a_wall_clock_that_was_set_back_makes_a_wait_no_longer() {
        let wait = record().wait.unwrap();
        for (now, left) in [
            (1_749_999_970, 30),
            (1_749_999_999, 1),
            (1_750_000_000, 0),
            (2_000_000_000, 0),
            (0, 30),
        ] {
            assert_eq!(wait.left_s(now), left, "{now}");
        }
    }
}
