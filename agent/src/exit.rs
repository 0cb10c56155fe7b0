//! Exit codes: a contract with scripts. Never reused for another meaning.

/// Done.
pub(crate) const DONE: u8 = 0;
/// Failure that no other code names.
pub(crate) const FAILURE: u8 = 1;
/// The command line or the configuration is wrong.
pub(crate) const USAGE: u8 = 2;
/// The bundle was refused: signature, target, expiry, sequence.
pub(crate) const REFUSED: u8 = 10;
/// Not enough space on the disk.
pub(crate) const NO_SPACE: u8 = 11;
/// The container runtime does not answer.
pub(crate) const RUNTIME_UNREACHABLE: u8 = 12;
/// The bundle could not be read to its end, or the relay does not answer.
pub(crate) const DOWNLOAD_FAILED: u8 = 13;
/// Locked, or outside its window.
pub(crate) const LOCKED: u8 = 14;
/// The update failed and was rolled back.
pub(crate) const ROLLED_BACK: u8 = 20;
/// The update failed, and so did the rollback.
pub(crate) const ROLLBACK_FAILED: u8 = 21;
/// The device runs this bundle with these settings already.
pub(crate) const ALREADY_CURRENT: u8 = 30;

/// Whether what ended with this code may end otherwise by itself later: there was no space, no
/// runtime, no way to the bundle, or no leave.
pub(crate) fn may_pass(code: u8) -> bool {
    matches!(
        code,
        NO_SPACE | RUNTIME_UNREACHABLE | DOWNLOAD_FAILED | LOCKED
    )
}
