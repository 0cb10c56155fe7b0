//! An app in the record: 324 bytes.
//!
//! | bytes | field |
//! |---|---|
//! | 0..32 | name, zero after its end |
//! | 32 | phase: 1 idle, 2 staged, 3 switching, 4 trial, 5 rolling back, 6 broken, 7 removing |
//! | 33 | intent: 1 update, 2 rollback; zero if neither phase nor outcome has one |
//! | 34 | cause: 1 to 11 as in the table of `docs/state-file.md`; zero if there is none |
//! | 35 | the service that the cause names |
//! | 36..40 | the exit code that the cause names (signed) |
//! | 40 | restarts (switching, trial) or attempts (rolling back) |
//! | 41 | which generations are there: bit 0 current, bit 1 previous, bit 2 the third |
//! | 42 | outcome: 1 committed, 2 failed, 3 rolled back, 4 rollback failed, 5 removed; zero if none |
//! | 43 | zero |
//! | 44..48 | number of the next generation |
//! | 48..56 | sequence floor |
//! | 56..64 | epoch floor |
//! | 64..72 | when the outcome came: seconds since 1970-01-01 UTC |
//! | 72..156 | current generation |
//! | 156..240 | previous generation |
//! | 240..324 | the third generation: incoming, failed, or in phases 1 and 7 the one of the outcome |
//!
//! A generation: number (4), sequence number (8), epoch (8), bundle (32), variables (32). Staging
//! is no phase here: it is not durable. Never holds what does not belong to the phase.

use bundle::{AppName, Digest};

use super::RecordError;
use super::bytes::{Reader, Writer};
use crate::app::{AppState, Cause, Generation, GenerationId, Intent, Outcome, OutcomeKind, Phase};

/// Bytes of an app in the record.
pub const ENTRY_BYTES: usize = 324;
const NAME_BYTES: usize = AppName::MAX;

/// The fields that phase and outcome share, each zero or none if not used.
#[derive(Clone, Copy, Default)]
struct Fields {
    phase: u8,
    intent: u8,
    cause: u8,
    service: u8,
    exit_code: i32,
    count: u8,
    outcome: u8,
    at: u64,
    third: Option<Generation>,
}

pub(super) fn encode(app: &AppState, writer: &mut Writer<'_>) {
    let mut fields = Fields::default();
    if let Some(last) = app.last {
        fields.put_outcome(last);
    }
    fields.put_phase(app.phase);
    writer.bytes(app.name.as_str().as_bytes());
    writer.zero(NAME_BYTES - app.name.as_str().len());
    for byte in [fields.phase, fields.intent, fields.cause, fields.service] {
        writer.u8(byte);
    }
    writer.i32(fields.exit_code);
    writer.u8(fields.count);
    let present = |generation: Option<Generation>, bit: u8| u8::from(generation.is_some()) << bit;
    writer.u8(present(app.current, 0) | present(app.previous, 1) | present(fields.third, 2));
    writer.u8(fields.outcome);
    writer.zero(1);
    writer.u32(app.next_generation.0);
    writer.u64(app.seq_floor);
    writer.u64(app.epoch_floor);
    writer.u64(fields.at);
    for generation in [app.current, app.previous, fields.third] {
        put_generation(generation, writer);
    }
}

pub(super) fn decode(reader: &mut Reader<'_>, at: u8) -> Result<AppState, RecordError> {
    let name: [u8; NAME_BYTES] = reader.array();
    let end = name.iter().position(|b| *b == 0).unwrap_or(NAME_BYTES);
    let name = core::str::from_utf8(&name[..end])
        .ok()
        .and_then(|text| AppName::new(text).ok())
        .ok_or(RecordError::Name { app: at })?;
    let mut fields = Fields {
        phase: reader.u8(),
        intent: reader.u8(),
        cause: reader.u8(),
        service: reader.u8(),
        exit_code: reader.i32(),
        count: reader.u8(),
        ..Fields::default()
    };
    let present = reader.u8();
    fields.outcome = reader.u8();
    reader.skip(1);
    let next_generation = GenerationId(reader.u32());
    let seq_floor = reader.u64();
    let epoch_floor = reader.u64();
    fields.at = reader.u64();
    let mut generation = |bit: u8| {
        let generation = get_generation(reader);
        (present >> bit & 1 == 1).then_some(generation)
    };
    let (current, previous) = (generation(0), generation(1));
    fields.third = generation(2);
    let code = RecordError::Code { app: at };
    let phase = fields.phase().ok_or(code)?;
    let last = match fields.outcome {
        0 => None,
        _ => Some(fields.outcome().ok_or(code)?),
    };
    Ok(AppState {
        name,
        phase,
        current,
        previous,
        next_generation,
        seq_floor,
        epoch_floor,
        last,
    })
}

impl Fields {
    fn put_phase(&mut self, phase: Phase) {
        match phase {
            // Staging is written as the idle app that it was: AppState::durable.
            Phase::Idle | Phase::Staging { .. } => self.phase = 1,
            Phase::Staged { incoming, intent } => {
                self.phase = 2;
                self.put_incoming(incoming, intent, 0);
            }
            Phase::Switching {
                incoming,
                intent,
                restarts,
            } => {
                self.phase = 3;
                self.put_incoming(incoming, intent, restarts);
            }
            Phase::Trial {
                incoming,
                intent,
                restarts,
            } => {
                self.phase = 4;
                self.put_incoming(incoming, intent, restarts);
            }
            Phase::RollingBack {
                failed,
                cause,
                attempts,
            } => {
                self.phase = 5;
                self.third = Some(failed);
                self.put_cause(cause);
                self.count = attempts;
            }
            Phase::Broken { failed, cause } => {
                self.phase = 6;
                self.third = Some(failed);
                self.put_cause(cause);
            }
            Phase::Removing => self.phase = 7,
        }
    }

    fn phase(&self) -> Option<Phase> {
        let incoming = || Some((self.third?, self.intent()?));
        Some(match self.phase {
            1 => Phase::Idle,
            2 => {
                let (incoming, intent) = incoming()?;
                Phase::Staged { incoming, intent }
            }
            3 => {
                let (incoming, intent) = incoming()?;
                Phase::Switching {
                    incoming,
                    intent,
                    restarts: self.count,
                }
            }
            4 => {
                let (incoming, intent) = incoming()?;
                Phase::Trial {
                    incoming,
                    intent,
                    restarts: self.count,
                }
            }
            5 => Phase::RollingBack {
                failed: self.third?,
                cause: self.cause()?,
                attempts: self.count,
            },
            6 => Phase::Broken {
                failed: self.third?,
                cause: self.cause()?,
            },
            7 => Phase::Removing,
            _ => return None,
        })
    }

    fn put_outcome(&mut self, last: Outcome) {
        self.third = Some(last.generation);
        self.at = last.at;
        match last.kind {
            OutcomeKind::Committed(intent) => {
                self.outcome = 1;
                self.put_intent(intent);
            }
            OutcomeKind::Failed(cause) => {
                self.outcome = 2;
                self.put_cause(cause);
            }
            OutcomeKind::RolledBack(cause) => {
                self.outcome = 3;
                self.put_cause(cause);
            }
            OutcomeKind::RollbackFailed(cause) => {
                self.outcome = 4;
                self.put_cause(cause);
            }
            OutcomeKind::Removed => self.outcome = 5,
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        let kind = match self.outcome {
            1 => OutcomeKind::Committed(self.intent()?),
            2 => OutcomeKind::Failed(self.cause()?),
            3 => OutcomeKind::RolledBack(self.cause()?),
            4 => OutcomeKind::RollbackFailed(self.cause()?),
            5 => OutcomeKind::Removed,
            _ => return None,
        };
        Some(Outcome {
            kind,
            generation: self.third?,
            at: self.at,
        })
    }

    fn put_incoming(&mut self, incoming: Generation, intent: Intent, restarts: u8) {
        self.third = Some(incoming);
        self.put_intent(intent);
        self.count = restarts;
    }

    fn put_intent(&mut self, intent: Intent) {
        self.intent = match intent {
            Intent::Update => 1,
            Intent::Rollback => 2,
        };
    }

    fn intent(&self) -> Option<Intent> {
        match self.intent {
            1 => Some(Intent::Update),
            2 => Some(Intent::Rollback),
            _ => None,
        }
    }

    fn put_cause(&mut self, cause: Cause) {
        (self.cause, self.service, self.exit_code) = match cause {
            Cause::StageRuntime => (1, 0, 0),
            Cause::StageSource => (2, 0, 0),
            Cause::NoSpace => (3, 0, 0),
            Cause::SwitchRuntime => (4, 0, 0),
            Cause::Crashed { service, exit_code } => (5, service, exit_code),
            Cause::Unhealthy { service } => (6, service, 0),
            Cause::Dependency { service } => (7, service, 0),
            Cause::Interrupted => (8, 0, 0),
            Cause::RestoreRuntime => (9, 0, 0),
            Cause::Operator => (10, 0, 0),
            Cause::Superseded => (11, 0, 0),
        };
    }

    fn cause(&self) -> Option<Cause> {
        let service = self.service;
        Some(match self.cause {
            1 => Cause::StageRuntime,
            2 => Cause::StageSource,
            3 => Cause::NoSpace,
            4 => Cause::SwitchRuntime,
            5 => Cause::Crashed {
                service,
                exit_code: self.exit_code,
            },
            6 => Cause::Unhealthy { service },
            7 => Cause::Dependency { service },
            8 => Cause::Interrupted,
            9 => Cause::RestoreRuntime,
            10 => Cause::Operator,
            11 => Cause::Superseded,
            _ => return None,
        })
    }
}

fn put_generation(generation: Option<Generation>, writer: &mut Writer<'_>) {
    let Some(generation) = generation else {
        return writer.zero(84);
    };
    writer.u32(generation.id.0);
    writer.u64(generation.seq);
    writer.u64(generation.epoch);
    writer.bytes(generation.bundle.as_bytes());
    writer.bytes(generation.variables.as_bytes());
}

fn get_generation(reader: &mut Reader<'_>) -> Generation {
    Generation {
        id: GenerationId(reader.u32()),
        seq: reader.u64(),
        epoch: reader.u64(),
        bundle: Digest::from_bytes(reader.array()),
        variables: Digest::from_bytes(reader.array()),
    }
}
