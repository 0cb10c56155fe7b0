//! Every bound of the format, each with its reason. Checked before memory is taken.

/// Most bytes of a head: signatures and manifest. A manifest of 60 services with 2,000 layers
/// stays below 200 KiB; the agent holds the head in memory.
pub const HEAD_BYTES_MAX: u32 = 1 << 20;
/// Most signature records: a release key, its successor, and two for dual control.
pub const SIGNATURES_MAX: usize = 4;
/// Most bytes of a signature's trusted comment: its length is one byte.
pub const COMMENT_BYTES_MAX: usize = 255;
/// Most keys that a device trusts: a handful for each of its apps.
pub const KEYS_MAX: usize = 256;
/// Most bytes of a public key's file: a comment line and 56 digits.
pub const KEY_FILE_BYTES_MAX: u64 = 4096;
/// Bytes of a piece of a blob; each is hashed in memory before anything decodes it.
pub const PIECE_BYTES: u32 = 1 << 20;
/// Most bytes of a blob, stored or plain: 16 GiB, far over any layer that a device could hold.
pub const BLOB_BYTES_MAX: u64 = 16 << 30;
/// Most bytes of a whole bundle file: 64 GiB.
pub const BUNDLE_BYTES_MAX: u64 = 64 << 30;
/// Most pieces of a blob: as many as the largest blob has.
pub const PIECES_MAX: usize = (BLOB_BYTES_MAX / PIECE_BYTES as u64) as usize;
/// Most blobs in a bundle.
pub const BLOBS_MAX: usize = 4096;
/// Most images in a bundle.
pub const IMAGES_MAX: usize = 64;
/// Most layers in an image (containerd and podman stop at about 127).
pub const LAYERS_MAX: usize = 127;
/// Most bytes of an image's configuration, which is read into memory.
pub const IMAGE_CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Most services in an app.
pub const SERVICES_MAX: usize = 64;
/// Most configuration files in an app.
pub const FILES_MAX: usize = 256;
/// Most bytes of a configuration file, which is rendered in memory.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most variables of an app.
pub const VARIABLES_MAX: usize = 128;
/// Most bytes of a variable's value.
pub const VALUE_BYTES_MAX: usize = 4096;
/// Most entries of the lists in a service: environment, ports, mounts, labels, arguments.
pub const LIST_MAX: usize = 256;
/// Most bytes of one text in a service: an argument, an environment value.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// Most device ids and device classes that a bundle names.
pub const TARGETS_MAX: usize = 1024;
/// Largest zstd window, as a power of two (2 MiB): the decoder's memory is bounded by it.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 21;
/// Longest trial, in seconds: a day.
pub const TRIAL_S_MAX: u32 = 86_400;
/// Longest stop grace, in seconds: an hour.
pub const STOP_GRACE_S_MAX: u32 = 3_600;
/// Longest time of a health check, in milliseconds: a day.
pub const HEALTH_MS_MAX: u32 = 86_400_000;
/// Most bytes of a log file before it is rotated: 1 GiB.
pub const LOG_BYTES_MAX: u64 = 1 << 30;
/// Most log files of a service that are kept.
pub const LOG_FILES_MAX: u32 = 100;
/// Most bytes of a variable's pattern.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Most bytes of memory that a compiled pattern takes.
pub const PATTERN_MEMORY_MAX: usize = 256 << 10;
