//! Every bound of the relay, each with its reason. Bounds of the wire are in `relay_api::device`,
//! those of bundles in [`bundle::limits`].

/// Most labels of a device, of each origin: people sort fleets by a dozen.
pub(crate) const LABELS_MAX: usize = 64;
/// Most bytes of a selector: a list of 500 device ids with the longest names.
pub(crate) const SELECTOR_BYTES_MAX: usize = 32 << 10;
/// Most requirements in a selector: more than anybody reads.
pub(crate) const REQUIREMENTS_MAX: usize = 64;
/// Most bytes of all variables of a device, names and values: with its other content, an answer to
/// a check-in stays below `relay_api::device::ANSWER_BYTES_MAX`.
pub(crate) const VARIABLES_BYTES_MAX: usize = 512 << 10;
/// Most apps that a device may have values or targets of: what a device holds, and what an answer
/// has room for.
pub(crate) const APPS_MAX: usize = 64;
/// Longest that a token can be used, in seconds: ten years, so that no sum overflows; shorter is
/// for whoever makes one to choose.
pub(crate) const TTL_S_MAX: u64 = 10 * 365 * 86_400;
/// Most bytes of the name of an operator's token.
pub(crate) const TOKEN_NAME_BYTES_MAX: usize = 128;
/// Most reports that are kept of a device; the oldest go first. A device sends one again within
/// minutes, so one that has gone is not taken for new.
pub(crate) const REPORTS_PER_DEVICE_MAX: u32 = 500;
/// Most bytes of reports that are kept of a device: a few failures with all their evidence.
pub(crate) const REPORT_BYTES_PER_DEVICE_MAX: u64 = 4 << 20;
/// Most reports that a view of a device shows.
pub(crate) const EVENTS_SHOWN_MAX: u32 = 50;
/// Most audit entries on one page.
pub(crate) const AUDIT_PAGE_MAX: u32 = 1_000;
/// Most bytes of the detail of an audit entry; more is cut.
pub(crate) const AUDIT_DETAIL_BYTES_MAX: usize = 1_024;
/// Most bytes of a cause that a device reports, as it is kept with a rollout; more is cut.
pub(crate) const CAUSE_BYTES_MAX: usize = 1_024;
