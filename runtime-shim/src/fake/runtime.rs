//! The [`Runtime`] trait over the fake's world, with faults before and after each effect.
//!
//! Never decides what a fault does (`fault.rs`) nor what the runtime does (`world.rs`).

use std::io::Read;
use std::path::PathBuf;
use std::rc::Rc;

use async_trait::async_trait;
use bundle::{AppName, Digest};
use sha2::{Digest as _, Sha256};

use super::Fake;
use super::fault::{Armed, Call, Op, Strike};
use super::script::Act;
use super::streams::{Events, Log};
use super::world::{World, is_running};
use crate::{
    Container, ContainerId, ContainerSpec, ContainerState, EventStream, ExecOutput, ExitStatus,
    ImageImport, LogQuery, LogStream, Runtime, RuntimeError, RuntimeInfo, Stats,
};

/// Bytes that an import reads between two points where it can be dropped.
const CHUNK_BYTES: usize = 64 << 10;

impl Fake {
    /// Logs a call and gives the faults that are due at it.
    fn enter(&self, op: Op, subject: &str) -> Vec<Rc<Armed>> {
        let call = Call {
            op,
            subject: subject.to_owned(),
        };
        let mut world = self.world.borrow_mut();
        world.faults.retain(|armed| !armed.is_released());
        let mut due = world.faults.clone();
        due.retain(|armed| armed.meets(&call));
        world.calls.push(call);
        due
    }

    async fn strike(&self, due: &[Rc<Armed>], after: bool) -> Result<(), RuntimeError> {
        for armed in due {
            match armed.strike(after) {
                Strike::Pass => {}
                Strike::Fail(error) => return Err(error),
                Strike::Hang => {
                    self.until(|_| armed.is_released().then_some(Ok(())))
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// A call with its faults around its effect.
    async fn call<T>(
        &self,
        op: Op,
        subject: &str,
        effect: impl FnOnce(&mut World) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        let due = self.enter(op, subject);
        self.strike(&due, false).await?;
        let result = {
            let mut world = self.world.borrow_mut();
            let result = effect(&mut world);
            world.changed();
            result
        };
        self.strike(&due, true).await?;
        result
    }

    fn name_of(&self, id: &ContainerId) -> String {
        self.world.borrow().name_of(id)
    }

    /// Reads one blob whole and compares its digest and size, as a runtime does.
    async fn read_blob(
        &self,
        image: &ImageImport,
        (digest, bytes): (Digest, u64),
        done: &mut u64,
        progress: &dyn Fn(u64),
        stalls: &mut Vec<(u64, Rc<Armed>)>,
    ) -> Result<(), RuntimeError> {
        let mut reader = image.content.open(&digest).map_err(RuntimeError::Io)?;
        let (mut hasher, mut read) = (Sha256::new(), 0);
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            while let Some(due) = stalls.iter().position(|(at, _)| *done >= *at) {
                let (_, armed) = stalls.swap_remove(due);
                armed.fire();
                self.until(|_| armed.is_released().then_some(Ok(())))
                    .await?;
            }
            let n = reader.read(&mut chunk).map_err(RuntimeError::Io)?;
            if n == 0 {
                break;
            }
            hasher.update(&chunk[..n]);
            read += n as u64;
            *done += n as u64;
            progress(*done);
            smol::future::yield_now().await;
        }
        if read != bytes || Digest::of_hasher(hasher) != digest {
            return Err(RuntimeError::Refused {
                status: 500,
                message: format!("{digest}: content does not match its digest"),
            });
        }
        Ok(())
    }

    async fn read_image(
        &self,
        image: &ImageImport,
        progress: &dyn Fn(u64),
        due: &[Rc<Armed>],
    ) -> Result<(), RuntimeError> {
        if Digest::of(&image.manifest) != image.manifest_digest {
            return Err(RuntimeError::Refused {
                status: 500,
                message: "the manifest does not match its digest".to_owned(),
            });
        }
        let mut stalls: Vec<_> = due
            .iter()
            .filter_map(|armed| Some((armed.stall_at()?, Rc::clone(armed))))
            .collect();
        let mut done = 0;
        for layer in &image.layers {
            let known = self.world.borrow().layers.contains(&layer.0);
            if !known {
                self.read_blob(image, *layer, &mut done, progress, &mut stalls)
                    .await?;
                self.world.borrow_mut().layers.insert(layer.0);
            }
        }
        let config = (image.id, image.config_bytes);
        self.read_blob(image, config, &mut done, progress, &mut stalls)
            .await
    }
}

fn app_subject(app: Option<&AppName>) -> &str {
    app.map_or("", AppName::as_str)
}

#[async_trait(?Send)]
impl Runtime for Fake {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        self.call(Op::Info, "", |world| {
            Ok(RuntimeInfo {
                name: "fake",
                version: env!("CARGO_PKG_VERSION").to_owned(),
                rootless: false,
                store: world.store.clone(),
            })
        })
        .await
    }

    async fn has_image(&self, id: &Digest) -> Result<bool, RuntimeError> {
        let subject = id.to_string();
        self.call(Op::HasImage, &subject, |world| {
            Ok(world.images.contains_key(id))
        })
        .await
    }

    async fn import_image(
        &self,
        image: &ImageImport,
        progress: &dyn Fn(u64),
    ) -> Result<(), RuntimeError> {
        let due = self.enter(Op::ImportImage, &image.name);
        self.strike(&due, false).await?;
        let known = self.world.borrow().images.contains_key(&image.id);
        if !known {
            self.read_image(image, progress, &due).await?;
        }
        {
            let mut world = self.world.borrow_mut();
            world.store_image(image);
            world.changed();
        }
        self.strike(&due, true).await
    }

    async fn images(&self) -> Result<Vec<Digest>, RuntimeError> {
        self.call(Op::Images, "", |world| {
            Ok(world.images.keys().copied().collect())
        })
        .await
    }

    async fn remove_image(&self, id: &Digest) -> Result<(), RuntimeError> {
        let subject = id.to_string();
        self.call(Op::RemoveImage, &subject, |world| world.remove_image(id))
            .await
    }

    async fn ensure_network(&self, app: &AppName, name: &str) -> Result<(), RuntimeError> {
        self.call(Op::EnsureNetwork, name, |world| {
            let owner = world.networks.entry(name.to_owned());
            owner.or_insert_with(|| app.to_string());
            Ok(())
        })
        .await
    }

    async fn networks(&self, app: Option<&AppName>) -> Result<Vec<String>, RuntimeError> {
        self.call(Op::Networks, app_subject(app), |world| {
            Ok(names_of(&world.networks, app))
        })
        .await
    }

    async fn remove_network(&self, name: &str) -> Result<(), RuntimeError> {
        self.call(Op::RemoveNetwork, name, |world| {
            if world.network_in_use(name) {
                return Err(RuntimeError::Conflict(name.to_owned()));
            }
            world.networks.remove(name);
            Ok(())
        })
        .await
    }

    async fn ensure_volume(&self, app: &AppName, name: &str) -> Result<PathBuf, RuntimeError> {
        self.call(Op::EnsureVolume, name, |world| {
            let owner = world.volumes.entry(name.to_owned());
            owner.or_insert_with(|| app.to_string());
            Ok(world.store.join("volumes").join(name))
        })
        .await
    }

    async fn volumes(&self, app: Option<&AppName>) -> Result<Vec<String>, RuntimeError> {
        self.call(Op::Volumes, app_subject(app), |world| {
            Ok(names_of(&world.volumes, app))
        })
        .await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), RuntimeError> {
        self.call(Op::RemoveVolume, name, |world| {
            if world.volume_in_use(name) {
                return Err(RuntimeError::Conflict(name.to_owned()));
            }
            world.volumes.remove(name);
            Ok(())
        })
        .await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        self.call(Op::Create, &spec.name, |world| world.create(spec))
            .await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.call(Op::Start, &self.name_of(id), |world| world.start(id))
            .await
    }

    async fn stop(&self, id: &ContainerId, _grace_s: u32) -> Result<(), RuntimeError> {
        self.call(Op::Stop, &self.name_of(id), |world| {
            world.stop(id);
            Ok(())
        })
        .await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.call(Op::Remove, &self.name_of(id), |world| {
            world.remove(id);
            Ok(())
        })
        .await
    }

    async fn inspect(&self, id_or_name: &str) -> Result<Option<Container>, RuntimeError> {
        self.call(Op::Inspect, id_or_name, |world| {
            Ok(world.find(id_or_name).map(|kept| kept.container.clone()))
        })
        .await
    }

    async fn containers(&self, app: Option<&AppName>) -> Result<Vec<Container>, RuntimeError> {
        self.call(Op::Containers, app_subject(app), |world| {
            Ok(world.of_app(app))
        })
        .await
    }

    async fn wait(&self, id: &ContainerId) -> Result<ExitStatus, RuntimeError> {
        self.call(Op::Wait, &self.name_of(id), |_| Ok(())).await?;
        self.until(|world| match world.get(id) {
            Err(gone) => Some(Err(gone)),
            Ok(kept) => match kept.container.state {
                ContainerState::Exited(status) => Some(Ok(status)),
                ContainerState::Running { .. } => None,
                ContainerState::Created | ContainerState::Other => Some(Err(
                    RuntimeError::Conflict(format!("{} never ran", kept.container.name)),
                )),
            },
        })
        .await
    }

    async fn logs(
        &self,
        id: &ContainerId,
        query: &LogQuery,
    ) -> Result<Box<dyn LogStream>, RuntimeError> {
        self.call(Op::Logs, &self.name_of(id), |world| {
            let log = Log::new(self.clone(), id, world.get(id)?, query);
            Ok(Box::new(log) as Box<dyn LogStream>)
        })
        .await
    }

    async fn events(&self) -> Result<Box<dyn EventStream>, RuntimeError> {
        self.call(Op::Events, "", |world| {
            let events = Events::new(self.clone(), world.events.len());
            Ok(Box::new(events) as Box<dyn EventStream>)
        })
        .await
    }

    async fn stats(&self, id: &ContainerId) -> Result<Stats, RuntimeError> {
        self.call(Op::Stats, &self.name_of(id), |world| {
            let labels = running(world, id)?;
            let scripted = world.act(&labels, |act| match act {
                Act::Stats(stats) => Some(*stats),
                _ => None,
            });
            Ok(scripted.unwrap_or(Stats {
                memory_bytes: 1 << 20,
                cpu_ns: 1_000_000,
                pids: 1,
            }))
        })
        .await
    }

    async fn exec(
        &self,
        id: &ContainerId,
        _command: &[&str],
        _timeout_ms: u32,
    ) -> Result<ExecOutput, RuntimeError> {
        self.call(Op::Exec, &self.name_of(id), |world| {
            let labels = running(world, id)?;
            let scripted = world.act(&labels, |act| match act {
                Act::Exec(output) => Some(output.clone()),
                _ => None,
            });
            match scripted {
                Some(Some(mut output)) => {
                    output.output.truncate(crate::EXEC_OUTPUT_BYTES_MAX);
                    Ok(output)
                }
                Some(None) => Err(RuntimeError::TimedOut),
                None => Ok(ExecOutput {
                    code: 0,
                    output: Vec::new(),
                }),
            }
        })
        .await
    }
}

type Labels = std::collections::BTreeMap<String, String>;

/// The labels of a container that runs.
fn running(world: &mut World, id: &ContainerId) -> Result<Labels, RuntimeError> {
    let kept = world.get(id)?;
    if is_running(kept) {
        Ok(kept.container.labels.clone())
    } else {
        Err(RuntimeError::Conflict(format!(
            "{} does not run",
            kept.container.name
        )))
    }
}

fn names_of(owned: &Labels, app: Option<&AppName>) -> Vec<String> {
    let fits = |owner: &str| app.is_none_or(|app| app.as_str() == owner);
    let found = owned.iter().filter(|(_, owner)| fits(owner));
    found.map(|(name, _)| name.clone()).collect()
}
