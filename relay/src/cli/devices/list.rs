//! The list of devices.

use relay_api::operator::{Device, DeviceApp};

use crate::cli::remote::labels;
use crate::cli::screen::Look;
use crate::cli::table::{Column, cut, table, whole};

const COLUMNS: [Column; 4] = [whole("DEVICE"), whole("SEEN"), cut("APPS"), cut("LABELS")];

/// The list; `all` if no selector left any out.
pub(super) fn text(devices: &[Device], all: bool, look: &Look) -> String {
    if devices.is_empty() {
        return if all {
            "No devices yet: make a token with `relay token enroll`, and use it on the device with `agent enroll`.\n"
        } else {
            "No device fits this selector: `relay devices` lists them all.\n"
        }
        .to_string();
    }
    let rows: Vec<Vec<String>> = devices
        .iter()
        .map(|device| {
            let apps: Vec<String> = device.apps.iter().map(app).collect();
            vec![
                device.id.clone(),
                match &device.last_seen {
                    Some(at) => look.time(at),
                    None => "never".to_string(),
                },
                apps.join(", "),
                labels(&device.labels),
            ]
        })
        .collect();
    table("", &COLUMNS, &rows, look.width)
}

/// `kiosk 1.4.2`, and whatever is not as it shall be: `kiosk 1.4.2 → 1.5 (trial)`.
fn app(app: &DeviceApp) -> String {
    let mut text = app.app.clone();
    if let Some(version) = &app.version {
        text += &format!(" {version}");
    }
    let mut remarks = Vec::new();
    if let Some(wanted) = &app.wanted {
        match wanted.state.as_str() {
            // Even if it has moved on since: somebody on site did that.
            "succeeded" => {}
            "failed" => remarks.push(format!("{} failed", wanted.version)),
            _ => text += &format!(" → {}", wanted.version),
        }
    }
    let usual = app.state == "running" || (app.state == "pending" && app.wanted.is_some());
    if !usual {
        remarks.push(app.state.clone());
    }
    let ill = app.services.iter().filter(|service| {
        service.healthy == Some(false) || matches!(service.state.as_str(), "restarting" | "exited")
    });
    let ill: Vec<&str> = ill.map(|service| service.name.as_str()).collect();
    if !ill.is_empty() {
        remarks.push(format!("{} not well", ill.join(" and ")));
    }
    if !remarks.is_empty() {
        text += &format!(" ({})", remarks.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::show::tests::{app as kiosk, detail, look};
    use super::*;

    #[test]
    fn what_a_fleet_looks_like() {
        let good = detail().device;
        let mut new = good.clone();
        new.id = "dev-12".into();
        new.last_seen = None;
        new.apps[0] = DeviceApp {
            version: None,
            state: "pending".into(),
            services: Vec::new(),
            ..kiosk("pending")
        };
        let mut failed = good.clone();
        failed.id = "old".into();
        failed.apps = vec![kiosk("failed")];
        failed.apps[0].state = "trial".into();
        failed.labels.clear();
        assert_eq!(
            text(&[good, new, failed], true, &look(true, None)),
            "\
DEVICE  SEEN       APPS                             LABELS
dev-7   3 min ago  kiosk 1.4.2                      role=kiosk site=harbour
dev-12  never      kiosk → 1.5                      role=kiosk site=harbour
old     3 min ago  kiosk 1.4.2 (1.5 failed, trial)  -
"
        );
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        assert!(text(&[], true, &look(true, None)).contains("relay token enroll"));
        assert!(text(&[], false, &look(true, None)).contains("selector"));
    }
}
