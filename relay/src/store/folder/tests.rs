//! Taking files in.
