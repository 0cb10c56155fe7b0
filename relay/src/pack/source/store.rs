//! A folder or a tar file as a read-only store of named files.
//!
//! Never unpacks to disk: members of an archive are read where they lie. Names are compared, never
//! used as paths of this machine, save in [`Folder`], which refuses `..`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::error::SourceError;
use super::layer;

/// Named files.
pub(crate) trait Store {
    /// Opens the file with this name; its size comes along.
    fn open(&self, name: &str) -> Result<(Box<dyn Read>, u64), SourceError>;
}

/// Reads a small file whole.
pub(crate) fn read_small(store: &dyn Store, name: &str, max: u64) -> Result<Vec<u8>, SourceError> {
    let (reader, bytes) = store.open(name)?;
    if bytes > max {
        return Err(SourceError::TooLarge {
            what: name.to_string(),
            max,
        });
    }
    read_bounded(reader, name, max)
}

/// Reads a stream whole, at most `max` bytes.
pub(crate) fn read_bounded(
    reader: impl Read,
    what: &str,
    max: u64,
) -> Result<Vec<u8>, SourceError> {
    let mut out = Vec::new();
    reader
        .take(max + 1)
        .read_to_end(&mut out)
        .map_err(|error| SourceError::Io {
            what: what.to_string(),
            error,
        })?;
    if out.len() as u64 > max {
        return Err(SourceError::TooLarge {
            what: what.to_string(),
            max,
        });
    }
    Ok(out)
}

/// A folder.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Store for Folder {
    fn open(&self, name: &str) -> Result<(Box<dyn Read>, u64), SourceError> {
        let plain = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(SourceError::Missing(name.to_string()));
        }
        let path = self.0.join(name);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((bytes, file)) => Ok((Box::new(file), bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SourceError::Missing(path.display().to_string()))
            }
            Err(error) => Err(SourceError::Io {
                what: path.display().to_string(),
                error,
            }),
        }
    }
}

/// A tar file.
pub(crate) struct Tar {
    file: Arc<File>,
    members: BTreeMap<String, Member>,
}

enum Member {
    /// Where its bytes lie.
    Bytes { offset: u64, bytes: u64 },
    /// Another member's name: `docker save` links layers that are the same.
    Link(String),
}

/// Most links in a row.
const LINKS_MAX: usize = 8;
/// Most members of an archive: an image has two for each layer.
const MEMBERS_MAX: usize = 10_000;

impl Tar {
    /// Opens an archive; a compressed one is first unpacked into `spool`.
    pub(crate) fn open(path: &Path, spool: &Path) -> Result<Self, SourceError> {
        let what = || path.display().to_string();
        let io = |error| SourceError::Io {
            what: what(),
            error,
        };
        let mut file = File::open(path).map_err(io)?;
        let mut magic = Vec::new();
        (&mut file).take(8).read_to_end(&mut magic).map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        if layer::is_compressed(&magic) {
            let mut plain = layer::plain(BufReader::new(file))?;
            return Self::spooled(&mut plain, &what(), spool);
        }
        Self::index(file, &what())
    }

    /// Copies a stream into `spool` and opens it; the copy goes with the value.
    pub(crate) fn spooled(
        stream: &mut dyn Read,
        what: &str,
        spool: &Path,
    ) -> Result<Self, SourceError> {
        let io = |error| SourceError::Io {
            what: what.to_string(),
            error,
        };
        let mut copy = tempfile::tempfile_in(spool).map_err(io)?;
        io::copy(stream, &mut copy).map_err(io)?;
        copy.seek(SeekFrom::Start(0)).map_err(io)?;
        Self::index(copy, what)
    }

    fn index(file: File, what: &str) -> Result<Self, SourceError> {
        let file = Arc::new(file);
        let io = |error| SourceError::Io {
            what: format!("{what}: not a tar file that can be read"),
            error,
        };
        let mut members = BTreeMap::new();
        let mut archive = tar::Archive::new(BufReader::new(&*file));
        for entry in archive.entries_with_seek().map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(name) = std::str::from_utf8(&entry.path_bytes()).map(normal) else {
                continue;
            };
            let kind = entry.header().entry_type();
            let member = if kind.is_file() {
                Member::Bytes {
                    offset: entry.raw_file_position(),
                    bytes: entry.size(),
                }
            } else if kind.is_symlink() || kind.is_hard_link() {
                let Some(target) = entry.link_name_bytes() else {
                    continue;
                };
                let target = String::from_utf8_lossy(&target).into_owned();
                let folder = match name.rsplit_once('/') {
                    Some((folder, _)) if kind.is_symlink() => format!("{folder}/"),
                    _ => String::new(),
                };
                Member::Link(normal(&format!("{folder}{target}")))
            } else {
                continue;
            };
            members.insert(name, member);
            if members.len() > MEMBERS_MAX {
                return Err(SourceError::TooLarge {
                    what: format!("{what}: number of members"),
                    max: MEMBERS_MAX as u64,
                });
            }
        }
        drop(archive);
        Ok(Self { file, members })
    }
}

/// A member's name without `./` and with `..` resolved.
fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Store for Tar {
    fn open(&self, name: &str) -> Result<(Box<dyn Read>, u64), SourceError> {
        let mut at = normal(name);
        for _ in 0..LINKS_MAX {
            match self.members.get(&at) {
                Some(Member::Bytes { offset, bytes }) => {
                    let section = Section {
                        file: Arc::clone(&self.file),
                        at: *offset,
                        left: *bytes,
                    };
                    return Ok((Box::new(section), *bytes));
                }
                Some(Member::Link(target)) => at.clone_from(target),
                None => break,
            }
        }
        Err(SourceError::Missing(name.to_string()))
    }
}

/// A run of bytes in a file that others read too.
struct Section {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut into[..most], self.at)?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_and_names_normalised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let mut builder = tar::Builder::new(File::create(&path).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, "./a/layer.tar", &b"bytes"[..])
            .unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, "b/layer.tar", "../a/layer.tar")
            .unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "loop", "loop").unwrap();
        builder.finish().unwrap();

        let store = Tar::open(&path, folder.path()).unwrap();
        for name in ["a/layer.tar", "b/layer.tar"] {
            assert_eq!(read_small(&store, name, 10).unwrap(), b"bytes");
        }
        assert!(matches!(
            read_small(&store, "a/layer.tar", 4),
            Err(SourceError::TooLarge { .. })
        ));
        assert!(matches!(store.open("loop"), Err(SourceError::Missing(_))));
        assert!(matches!(
            Folder(folder.path().into()).open("../etc/passwd"),
            Err(SourceError::Missing(_))
        ));
    }
}
