//! Logs and events of the fake, as they come.
//!
//! Never holds lines or events of its own: it looks into the world each time.

use async_trait::async_trait;

use super::Fake;
use super::world::{Kept, is_running};
use crate::{ContainerId, EventStream, LogLine, LogQuery, LogStream, RuntimeError, RuntimeEvent};

pub(super) struct Log {
    fake: Fake,
    id: ContainerId,
    /// The next line to give.
    next: usize,
    since: u64,
    /// Where to stop if not following.
    end: Option<usize>,
}

impl Log {
    pub(super) fn new(fake: Fake, id: &ContainerId, kept: &Kept, query: &LogQuery) -> Self {
        let count = kept.log.len();
        let skip = query.tail.map_or(0, |n| count.saturating_sub(n as usize));
        Self {
            fake,
            id: id.clone(),
            next: skip,
            since: query.since.unwrap_or(0),
            end: (!query.follow).then_some(count),
        }
    }
}

#[async_trait(?Send)]
impl LogStream for Log {
    async fn next(&mut self) -> Result<Option<LogLine>, RuntimeError> {
        let (next, since, end, id) = (&mut self.next, self.since, self.end, &self.id);
        self.fake
            .until(|world| {
                let Some(kept) = world.containers.get(id) else {
                    return Some(Ok(None));
                };
                while end.is_none_or(|end| *next < end) {
                    let Some((at, line)) = kept.log.get(*next) else {
                        return (!is_running(kept)).then_some(Ok(None));
                    };
                    *next += 1;
                    if *at >= since {
                        return Some(Ok(Some(line.clone())));
                    }
                }
                Some(Ok(None))
            })
            .await
    }
}

pub(super) struct Events {
    fake: Fake,
    next: usize,
}

impl Events {
    pub(super) fn new(fake: Fake, next: usize) -> Self {
        Self { fake, next }
    }
}

#[async_trait(?Send)]
impl EventStream for Events {
    async fn next(&mut self) -> Result<Option<RuntimeEvent>, RuntimeError> {
        let next = &mut self.next;
        self.fake
            .until(|world| {
                let event = world.events.get(*next)?;
                *next += 1;
                Some(Ok(Some(event.clone())))
            })
            .await
    }
}
