//! Files that travel in the bundle: Compose `configs` and `x-coracle.files`.
//!
//! Read at pack time, from beside the Compose file; each content is stored once. Those marked
//! `template: true` must be text whose every `${NAME}` is a declared variable.

use std::path::Path;

use bundle::manifest::{FileId, FileMount, Text};

use super::field::Field;
use super::interpolate::Reader;
use super::map::Map;
use super::refusals::Place;
use super::service::Read;

/// A file of the bundle with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedFile {
    /// A name for people.
    pub name: Text,
    /// Its content.
    pub content: Vec<u8>,
    /// Whether the device renders `${NAME}` in it.
    pub template: bool,
}

/// The files of a Compose file, numbered.
#[derive(Default)]
pub(crate) struct Files {
    packed: Vec<PackedFile>,
    configs: Vec<(String, Option<FileId>)>,
}

impl Files {
    /// Reads the top-level `configs`.
    pub(crate) fn declare(&mut self, top: &mut Map<'_>) {
        for member in top
            .take("configs")
            .map(|field| field.members())
            .unwrap_or_default()
        {
            let id = self.config(member.name, &member.value);
            self.configs.push((member.name.to_string(), id));
        }
    }

    fn config(&mut self, name: &str, field: &Field<'_>) -> Option<FileId> {
        let mut map = field.map();
        let file = map.take("file");
        let content = map.take("content");
        let mut template = false;
        if let Some(extension) = map.take("x-coracle") {
            let mut extension = extension.map();
            template = extension
                .take("template")
                .and_then(|field| field.bool())
                .unwrap_or(false);
            extension.finish(Place::Other);
        }
        map.finish(Place::Config);
        match (file, content) {
            (Some(file), None) => {
                let bytes = read(&file)?;
                self.add(&file, name, bytes, template)
            }
            (None, Some(content)) => {
                let reader = if template {
                    Reader::Template
                } else {
                    Reader::Plain
                };
                let bytes = content.interpolated(reader)?.into_bytes();
                self.add(&content, name, bytes, template)
            }
            _ => {
                field.error("expected either file: or content:");
                None
            }
        }
    }

    /// `configs` of a service.
    pub(crate) fn mounts(&self, field: &Field<'_>) -> Vec<FileMount> {
        field
            .list()
            .iter()
            .filter_map(|item| {
                if item.is_scalar() {
                    let name = item.string()?;
                    return mount(item, self.find(item, &name), Some(format!("/{name}")), None);
                }
                let mut map = item.map();
                let source = map.require("source")?;
                let name = source.string()?;
                let target = match map.take("target") {
                    Some(target) => target.string(),
                    None => Some(format!("/{name}")),
                };
                let mount = mount(item, self.find(&source, &name), target, Some(&mut map));
                map.finish(Place::Other);
                mount
            })
            .collect()
    }

    fn find(&self, field: &Field<'_>, name: &str) -> Option<FileId> {
        let found = self.configs.iter().find(|(known, _)| known == name);
        if found.is_none() {
            field.error(format_args!("{name} is not under configs:"));
        }
        found?.1
    }

    /// `x-coracle.files`: each is mounted into the services that it names.
    pub(crate) fn extension(&mut self, field: &Field<'_>, services: &mut [Read<'_>]) {
        for item in field.list() {
            let mut map = item.map();
            let template = map
                .take("template")
                .and_then(|template| template.bool())
                .unwrap_or(false);
            let id = map.require("source").and_then(|source| {
                let name = source.string()?;
                let bytes = read(&source)?;
                self.add(&source, &name, bytes, template)
            });
            let target = map.require("target").and_then(|target| target.string());
            let users = map.require("services");
            let mount = mount(&item, id, target, Some(&mut map));
            map.finish(Place::Other);
            for user in users.map(|users| users.list()).unwrap_or_default() {
                let Some(name) = user.string() else { continue };
                match services
                    .iter_mut()
                    .find(|read| read.service.name.as_str() == name)
                {
                    Some(read) => read.service.files.extend(mount.clone()),
                    None => user.error(format_args!("{name} is not under services:")),
                }
            }
        }
    }

    /// The files that services mount, numbered anew without the others.
    pub(crate) fn used(self, services: &mut [Read<'_>]) -> Vec<PackedFile> {
        let mut numbers: Vec<Option<FileId>> = vec![None; self.packed.len()];
        let mut used = 0;
        for mount in services.iter_mut().flat_map(|read| &mut read.service.files) {
            let Some(number) = numbers.get_mut(usize::from(mount.file.0)) else {
                continue;
            };
            mount.file = *number.get_or_insert_with(|| {
                used += 1;
                FileId(used - 1)
            });
        }
        let mut out: Vec<(FileId, PackedFile)> = numbers
            .into_iter()
            .zip(self.packed)
            .filter_map(|(number, file)| Some((number?, file)))
            .collect();
        out.sort_by_key(|(number, _)| *number);
        out.into_iter().map(|(_, file)| file).collect()
    }

    /// The number of a file with this content.
    fn add(
        &mut self,
        field: &Field<'_>,
        name: &str,
        content: Vec<u8>,
        template: bool,
    ) -> Option<FileId> {
        if content.len() as u64 > bundle::limits::FILE_BYTES_MAX {
            field.error(format_args!(
                "{name} is larger than {} bytes: put it into the image",
                bundle::limits::FILE_BYTES_MAX
            ));
            return None;
        }
        if template {
            check_template(field, &content);
        }
        let file = PackedFile {
            name: field.to_text(name.to_string())?,
            content,
            template,
        };
        let place = self
            .packed
            .iter()
            .position(|known| known.content == file.content && known.template == file.template);
        let index = place.unwrap_or_else(|| {
            self.packed.push(file);
            self.packed.len() - 1
        });
        u16::try_from(index).ok().map(FileId)
    }
}

fn check_template(field: &Field<'_>, content: &[u8]) {
    let Ok(text) = std::str::from_utf8(content) else {
        field.error("a template must be UTF-8 text");
        return;
    };
    let declared = &field.context().scope.declared;
    if let Err(error) = bundle::template::check(text, |name| declared.contains(name)) {
        field.error(error);
    }
}

fn mount(
    field: &Field<'_>,
    id: Option<FileId>,
    target: Option<String>,
    options: Option<&mut Map<'_>>,
) -> Option<FileMount> {
    let (mut mode, mut uid, mut gid) = (0o444, 0, 0);
    if let Some(map) = options {
        if let Some(field) = map.take("mode") {
            mode = permission_bits(&field).unwrap_or(mode);
        }
        let mut owner = |key| map.take(key).and_then(|field| field.number(0..=u32::MAX));
        uid = owner("uid").unwrap_or(uid);
        gid = owner("gid").unwrap_or(gid);
    }
    Some(FileMount {
        file: id?,
        target: field.to_absolute(target?)?,
        mode,
        uid,
        gid,
    })
}

/// Octal permission bits, as in `0444` or `"0444"`.
fn permission_bits(field: &Field<'_>) -> Option<u16> {
    let text = field.string()?;
    let digits = text.strip_prefix("0o").unwrap_or(&text);
    let mode = u16::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        field.error(format_args!(
            "expected octal permission bits such as 0444, not {text:?}"
        ));
    }
    mode
}

fn read(field: &Field<'_>) -> Option<Vec<u8>> {
    let path = field.string()?;
    if Path::new(&path).is_absolute() {
        field
            .error("expected a path relative to the Compose file, so that it packs on any machine");
        return None;
    }
    let full = field.context().folder.join(&path);
    match std::fs::read(&full) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            field.error(format_args!("cannot read {path}: {error}"));
            None
        }
    }
}
