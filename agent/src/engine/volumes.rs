//! Copies of volumes, so that a rollback undoes what the new version did to its data.
//!
//! Made while every container that mounts the volume is stopped, and before any new one starts.
//! Never follows a symbolic link, and never changes a volume except to put it back.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use agent_core::GenerationId;
use bundle::{AppName, VolumeName};
use runtime_shim::ContainerSpec;
use rustix::fs::{FileType, Mode, OFlags, XattrFlags};

use super::Engine;
use super::app::App;
use super::bring_up::GRACE_S;
use super::generation::Loaded;
use super::host::blocking;
use super::ours::{is_of, is_running};
use super::stage::mounts_volume;
use super::trouble::Trouble;

impl Engine {
    /// Copies the volumes that a rollback from `to` puts back, after stopping whatever mounts
    /// them. Gives the volumes; what is copied already stays as it was copied first.
    ///
    /// # Errors
    /// [`Trouble`]; nothing of `to` has been started then.
    pub(crate) async fn copy_volumes(
        &self,
        from: Option<&Loaded>,
        to: &Loaded,
    ) -> Result<Vec<VolumeName>, Trouble> {
        let app = &to.app.app;
        let mut wanted = to.manifest().policy.restore_on_rollback.clone();
        if wanted.is_empty() {
            return Ok(wanted);
        }
        // A volume that is new with `to` holds nothing yet. Of a generation that cannot be
        // loaded it is not known what it had: all are copied.
        wanted.retain(|volume| from.is_none_or(|from| from.manifest().volumes.contains(volume)));
        let folder = self.copies_of(app, to.generation.id);
        let lacking: Vec<_> = wanted
            .iter()
            .filter(|volume| !folder.join(volume.as_str()).exists())
            .collect();
        if lacking.is_empty() {
            return Ok(wanted);
        }
        for container in self.ours(app).await?.iter().filter(|c| is_running(c)) {
            let services = from.iter().flat_map(|from| from.services());
            let service = services
                .map(|(_, s)| s)
                .find(|s| is_of(container, &s.service.name));
            let mounts =
                service.is_none_or(|s| lacking.iter().any(|volume| mounts_volume(s, volume)));
            if mounts {
                let grace_s = service.map_or(GRACE_S, |s| s.service.stop_grace_s);
                self.stop_container(app, container, grace_s).await?;
            }
        }
        self.vfs
            .create_dir(&folder)
            .map_err(Trouble::file("the copies of volumes"))?;
        for volume in lacking {
            let (source, copy) = (
                self.volume_path(app, volume).await?,
                folder.join(volume.as_str()),
            );
            let part = folder.join(format!("{volume}.part"));
            let done = blocking(&*self.host, move || {
                remove_tree(&part)?;
                copy_tree(&source, &part)?;
                // All of it is on the disk before its name says so.
                rustix::fs::syncfs(File::open(&part)?)?;
                fs::rename(&part, &copy)
            });
            done.await
                .and_then(|result| result)
                .map_err(Trouble::file("the copy of a volume"))?;
            log::info!(
                "app={app} generation={} phase=copied volume={volume}",
                to.generation.id
            );
        }
        for folder in folder
            .ancestors()
            .take_while(|folder| *folder != self.config.state_dir)
        {
            self.vfs
                .sync_dir(folder)
                .map_err(Trouble::file("the copies of volumes"))?;
        }
        Ok(wanted)
    }

    /// Puts back the volumes that were copied before `failed` started. Whatever mounts them has
    /// been stopped.
    ///
    /// # Errors
    /// [`Trouble`]; the copies stay, and the next attempt begins again.
    pub(crate) async fn put_volumes_back(
        &self,
        app: &AppName,
        failed: GenerationId,
    ) -> Result<(), Trouble> {
        for volume in self.copied_volumes(app, failed) {
            let target = self.volume_path(app, &volume).await?;
            let copy = self.copies_of(app, failed).join(volume.as_str());
            let done = blocking(&*self.host, move || {
                clear(&target)?;
                copy_content(&copy, &target)
            });
            done.await
                .and_then(|result| result)
                .map_err(Trouble::file("putting a volume back"))?;
            log::warn!("app={app} generation={failed} phase=put_back volume={volume}");
        }
        Ok(())
    }

    /// The volumes that were copied before a generation started.
    pub(crate) fn copied_volumes(
        &self,
        app: &AppName,
        generation: GenerationId,
    ) -> Vec<VolumeName> {
        let paths = self
            .vfs
            .list(&self.copies_of(app, generation))
            .unwrap_or_default();
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
        names
            .filter(|name| !name.ends_with(".part"))
            .filter_map(|name| VolumeName::new(name).ok())
            .collect()
    }

    /// Removes all copies of an app's volumes: the update that they were made for has ended.
    pub(crate) fn drop_copies(&self, app: &App) {
        let folder = self.volumes.join(app.name.as_str());
        if let Err(error) = remove_tree(&folder) {
            log::warn!("app={} phase=collecting cause={error}", app.name);
        }
    }

    /// Bytes that copying the volumes of a policy would take; volumes that do not exist take none.
    pub(crate) async fn copy_bytes(
        &self,
        app: &AppName,
        volumes: &[VolumeName],
    ) -> Result<u64, Trouble> {
        if volumes.is_empty() {
            return Ok(0);
        }
        let there = self
            .runtime
            .volumes(Some(app))
            .await
            .map_err(Trouble::runtime("list the volumes"))?;
        let mut bytes = 0;
        for volume in volumes {
            if there.contains(&ContainerSpec::volume_name(app, volume)) {
                let path = self.volume_path(app, volume).await?;
                let size = blocking(&*self.host, move || tree_bytes(&path)).await;
                bytes += size
                    .and_then(|size| size)
                    .map_err(Trouble::file("a volume"))?;
            }
        }
        Ok(bytes)
    }

    async fn volume_path(&self, app: &AppName, volume: &VolumeName) -> Result<PathBuf, Trouble> {
        let path = self
            .runtime
            .ensure_volume(app, &ContainerSpec::volume_name(app, volume))
            .await;
        path.map_err(Trouble::runtime(format!("find the volume {volume}")))
    }

    fn copies_of(&self, app: &AppName, generation: GenerationId) -> PathBuf {
        self.volumes.join(app.as_str()).join(generation.to_string())
    }
}

/// Removes a tree; an absent one is fine.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Empties a folder, but leaves it: it may be a mount point's source.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn tree_bytes(path: &Path) -> io::Result<u64> {
    let metadata = path.symlink_metadata()?;
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            bytes += tree_bytes(&entry?.path())?;
        }
    }
    Ok(bytes)
}

/// Copies a tree with modes, owners, times, extended attributes and symbolic links.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    copy_content(from, to)
}

/// Copies what a folder holds into another, then the folder's own attributes.
fn copy_content(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = source.symlink_metadata()?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_file() {
            copy_file(&source, &target, &metadata)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
            own(&target, &metadata)?;
        } else if kind.is_fifo() {
            let mode = Mode::from_raw_mode(metadata.mode() & 0o7777);
            rustix::fs::mknodat(rustix::fs::CWD, &target, FileType::Fifo, mode, 0)?;
            own(&target, &metadata)?;
        }
        // Sockets end with their process, and device nodes have no place in a volume.
    }
    finish(from, to, &from.symlink_metadata()?)
}

fn copy_file(from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let mut source = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nofollow)
        .open(from)?;
    let mut options = fs::OpenOptions::new();
    let mut target = options.write(true).create_new(true).mode(0o600).open(to)?;
    // One write for all of it where the file system shares blocks.
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        io::copy(&mut source, &mut target)?;
    }
    drop(target);
    finish(from, to, metadata)
}

/// Gives a copied file or folder its attributes, the mode last: changing the owner drops bits.
fn finish(from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
    own(to, metadata)?;
    copy_attributes(from, to)?;
    fs::set_permissions(to, Permissions::from_mode(metadata.mode() & 0o7777))?;
    let times = fs::FileTimes::new()
        .set_accessed(metadata.accessed()?)
        .set_modified(metadata.modified()?);
    File::open(to)?.set_times(times)
}

fn own(path: &Path, metadata: &Metadata) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(metadata.uid()), Some(metadata.gid()))
}

fn copy_attributes(from: &Path, to: &Path) -> io::Result<()> {
    // As large as the kernel lets the list and a value be.
    let mut names = vec![0u8; 64 << 10];
    let listed = match rustix::fs::llistxattr(from, &mut names) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        other => other?,
    };
    names.truncate(listed);
    let mut value = vec![0u8; 64 << 10];
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let bytes = rustix::fs::lgetxattr(from, name, &mut value)?;
        let value = value.get(..bytes).unwrap_or_default();
        match rustix::fs::lsetxattr(to, name, value, XattrFlags::empty()) {
            // Labels of a security module that this system gives out itself.
            Ok(()) | Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, copy) = (dir.path().join("volume"), dir.path().join("copy"));
        fs::create_dir_all(volume.join("deep/er")).unwrap();
        fs::write(volume.join("deep/er/data"), b"old").unwrap();
        fs::set_permissions(volume.join("deep/er/data"), Permissions::from_mode(0o4640)).unwrap();
        symlink("/etc/passwd", volume.join("link")).unwrap();
        fs::set_permissions(&volume, Permissions::from_mode(0o751)).unwrap();
        copy_tree(&volume, &copy).unwrap();

        fs::write(volume.join("deep/er/data"), b"migrated").unwrap();
        fs::write(volume.join("new"), b"new").unwrap();
        fs::set_permissions(&volume, Permissions::from_mode(0o700)).unwrap();
        clear(&volume).unwrap();
        copy_content(&copy, &volume).unwrap();

        assert_eq!(fs::read(volume.join("deep/er/data")).unwrap(), b"old");
        let mode = |path: &str| volume.join(path).symlink_metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode("deep/er/data"), mode(".")), (0o4640, 0o751));
        assert_eq!(
            fs::read_link(volume.join("link")).unwrap(),
            Path::new("/etc/passwd")
        );
        assert!(!volume.join("new").exists());
        assert!(tree_bytes(&volume).unwrap() > 0);
    }
}
