//! `agent verify`: what a bundle is, once it is known to be in order.

use super::quantity::{bytes, count, moment};
use super::table::{plain, table};
use super::{Style, Tone};
use crate::api::VerifyView;

/// Who signed it, what it is for, how large it is.
pub(crate) fn verified(view: &VerifyView, style: Style) -> String {
    let any = |names: &[String], word: &str| match names {
        [] => format!("any {word}"),
        names => format!("{word} {}", names.join(", ")),
    };
    let target = format!(
        "{}, fleet {}, {}, {}",
        view.arch,
        view.fleet,
        any(&view.classes, "class"),
        any(&view.devices, "device"),
    );
    let expires = view
        .not_after
        .as_deref()
        .map_or_else(|| "never".to_owned(), moment);
    let holds = format!(
        "{}, {}, {}",
        count(view.services as usize, "service"),
        count(view.images as usize, "image"),
        count(view.blobs as usize, "blob"),
    );
    let size = format!(
        "{}, {} unpacked",
        bytes(view.bundle_bytes),
        bytes(view.plain_bytes)
    );
    let row = |name: &str, value: &str| vec![plain(name), plain(value)];
    let rows = vec![
        row(
            "app",
            &format!(
                "{} {} (seq {}, epoch {})",
                view.app, view.version, view.seq, view.epoch
            ),
        ),
        row("signed by", &view.signers.join(", ")),
        row("made", &moment(&view.issued_at)),
        row("expires", &expires),
        row("for", &target),
        row("holds", &holds),
        row("size", &size),
    ];
    let what = if view.target_checked {
        "signature, target and every byte are in order"
    } else {
        "signature and every byte are in order; the target was not checked"
    };
    table("", &[], &rows, style) + &format!("\n{}: {what}\n", style.paint(Tone::Good, "OK"))
}
