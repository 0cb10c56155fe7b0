//! `relay serve` as a process: settings, certificates, listening, shutting down.
