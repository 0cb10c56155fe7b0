//! A file tree in memory, on its way into a layer.
//!
//! Never touches the owner, time or order that the source had: owners are set by the recipe, times
//! by [`crate::SOURCE_DATE_EPOCH`], and entries are sorted by path, so trees are reproducible.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What Debian packages carry and an appliance's image does not: documentation, translations,
/// and what serves an init system or package manager that is not in the image.
const SLIMMED: &[&str] = &[
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bug",
    "usr/share/bash-completion",
    "usr/lib/systemd",
    "usr/lib/udev",
    "etc/init.d",
    "etc/default",
    "etc/logrotate.d",
    "etc/ufw",
    "etc/apparmor.d",
    "usr/share/initramfs-tools",
    "etc/initramfs-tools",
];

enum Kind {
    Dir,
    File(Vec<u8>),
    Symlink(String),
}

struct Node {
    kind: Kind,
    mode: u32,
    owner: u32,
}

/// Paths are relative and without `.` or `..`; a parent sorts before its children.
#[derive(Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Adds a folder; `owner` is user and group.
    pub(crate) fn dir(&mut self, path: &str, mode: u32, owner: u32) {
        self.put(
            path,
            Node {
                kind: Kind::Dir,
                mode,
                owner,
            },
        );
    }

    /// Adds a file owned by root.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        let kind = Kind::File(bytes.into());
        self.put(
            path,
            Node {
                kind,
                mode,
                owner: 0,
            },
        );
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        let kind = Kind::Symlink(target.to_owned());
        self.put(
            path,
            Node {
                kind,
                mode: 0o777,
                owner: 0,
            },
        );
    }

    fn put(&mut self, path: &str, node: Node) {
        let mut end = 0;
        while let Some(slash) = path[end..].find('/') {
            end += slash;
            self.nodes.entry(path[..end].to_owned()).or_insert(Node {
                kind: Kind::Dir,
                mode: 0o755,
                owner: 0,
            });
            end += 1;
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Adds the files of a Debian package, given as the tar that `dpkg-deb --fsys-tarfile` writes,
    /// without what [`SLIMMED`] lists.
    pub(crate) fn add_package(&mut self, tar: impl Read) -> Result<()> {
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = usr_merged(&entry.path()?.to_string_lossy());
            if path.is_empty() || slimmed(&path) {
                continue;
            }
            let mode = entry.header().mode()? & 0o7777;
            match entry.header().entry_type() {
                tar::EntryType::Directory => {
                    // A folder that the recipe made keeps its mode and owner.
                    if !self.nodes.contains_key(&path) {
                        self.dir(&path, mode, 0);
                    }
                }
                tar::EntryType::Regular => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes)?;
                    self.file(&path, mode, bytes);
                }
                tar::EntryType::Symlink => {
                    let target = entry.link_name()?.context("a link without a target")?;
                    self.symlink(&path, &target.to_string_lossy());
                }
                tar::EntryType::Link => {
                    let target = entry.link_name()?.context("a link without a target")?;
                    let target = usr_merged(&target.to_string_lossy());
                    let Some(Node {
                        kind: Kind::File(bytes),
                        mode,
                        ..
                    }) = self.nodes.get(&target)
                    else {
                        bail!("{path} is a hard link to {target}, which is not there");
                    };
                    let (bytes, mode) = (bytes.clone(), *mode);
                    self.file(&path, mode, bytes);
                }
                other => bail!("{path} has the type {other:?}, which no package should have"),
            }
        }
        Ok(())
    }

    /// Adds the folder `from` of this machine as `path`, leaving out the files that `skip` names.
    pub(crate) fn add_folder(
        &mut self,
        path: &str,
        from: &Path,
        skip: &dyn Fn(&str) -> bool,
    ) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name
                .to_str()
                .with_context(|| format!("{name:?} is not UTF-8"))?;
            let inner = format!("{path}/{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.dir(&inner, 0o755, 0);
                self.add_folder(&inner, &entry.path(), skip)?;
            } else if kind.is_symlink() {
                self.symlink(&inner, &fs::read_link(entry.path())?.to_string_lossy());
            } else if !skip(name) {
                let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
                let mode = if executable { 0o755 } else { 0o644 };
                self.file(&inner, mode, fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    /// Writes the tree as a tar and returns the writer.
    pub(crate) fn write<W: Write>(&self, writer: W) -> Result<W> {
        let mut builder = tar::Builder::new(writer);
        for (path, node) in &self.nodes {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(crate::SOURCE_DATE_EPOCH);
            header.set_mode(node.mode);
            header.set_uid(node.owner.into());
            header.set_gid(node.owner.into());
            header.set_size(0);
            match &node.kind {
                Kind::Dir => {
                    header.set_entry_type(tar::EntryType::Directory);
                    builder.append_data(&mut header, format!("{path}/"), std::io::empty())?;
                }
                Kind::File(bytes) => {
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_size(bytes.len() as u64);
                    builder.append_data(&mut header, path, bytes.as_slice())?;
                }
                Kind::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    builder.append_link(&mut header, path, target)?;
                }
            }
        }
        Ok(builder.into_inner()?)
    }
}

/// A package's path as a relative one, with `/bin`, `/sbin` and `/lib*` below `/usr`, where the
/// base layer's links point.
fn usr_merged(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    match first {
        "bin" | "sbin" | "lib" | "lib32" | "lib64" => format!("usr/{path}"),
        "." => String::new(),
        _ => path.to_owned(),
    }
}

fn slimmed(path: &str) -> bool {
    let below = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    SLIMMED.iter().any(|prefix| below(prefix)) || path.contains("/gconv/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_written_sorted_with_parents_and_one_time() {
        let mut tree = Tree::default();
        tree.file("b/file", 0o644, "x");
        tree.symlink("a", "b/file");
        tree.dir("c", 0o1777, 7);
        let mut again = Tree::default();
        again.dir("c", 0o1777, 7);
        again.symlink("a", "b/file");
        again.file("b/file", 0o644, "x");

        let bytes = tree.write(Vec::new()).expect("writes");
        assert_eq!(bytes, again.write(Vec::new()).expect("writes"));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .expect("a tar")
            .map(|entry| {
                let header = entry.expect("an entry").header().clone();
                assert_eq!(header.mtime().expect("a time"), crate::SOURCE_DATE_EPOCH);
                let path = header
                    .path()
                    .expect("a path")
                    .to_string_lossy()
                    .into_owned();
                (
                    path,
                    header.mode().expect("a mode"),
                    header.uid().expect("an owner"),
                )
            })
            .collect();
        let expected = [
            ("a", 0o777, 0),
            ("b/", 0o755, 0),
            ("b/file", 0o644, 0),
            ("c/", 0o1777, 7),
        ];
        assert_eq!(
            entries,
            expected.map(|(path, mode, uid)| (path.to_owned(), mode, uid))
        );
    }

    #[test]
    fn package_paths_go_below_usr_and_lose_documentation() {
        assert_eq!(
            usr_merged("./lib/x86_64-linux-gnu/libz.so.1"),
            "usr/lib/x86_64-linux-gnu/libz.so.1"
        );
        assert_eq!(usr_merged("./"), "");
        assert_eq!(usr_merged("./etc/passwd"), "etc/passwd");
        assert!(slimmed("usr/share/doc/libc6/copyright"));
        assert!(!slimmed("usr/share/documents"));
    }
}
