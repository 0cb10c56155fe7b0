//! The images as other tools see them. The first run fetches packages.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use test_images::{Version, docker_archive, info, mosquitto, nginx, oci_dir, tiny};

/// The image id that skopeo finds: the digest of the configuration.
fn seen_by_skopeo(source: &str) -> Result<String> {
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "inspect", "--raw", source]);
    let output = skopeo
        .output()
        .context("skopeo: `cargo xtask test` installs it")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let manifest: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(manifest["config"]["digest"]
        .as_str()
        .context("a manifest with a config")?
        .to_owned())
}

#[test]
fn other_tools_read_an_image_in_all_three_forms() -> Result<()> {
    let archive = tiny(Version::V1)?;
    let image_id = info(&archive)?.image_id;
    let source = |kind: &str, path: &Path| format!("{kind}:{}", path.display());
    assert_eq!(seen_by_skopeo(&source("oci-archive", &archive))?, image_id);
    assert_eq!(
        seen_by_skopeo(&source("oci", &oci_dir(&archive)?))?,
        image_id
    );
    assert_eq!(
        seen_by_skopeo(&source("docker-archive", &docker_archive(&archive)?))?,
        image_id
    );
    Ok(())
}

#[test]
fn releases_differ_in_one_layer_and_share_the_others() -> Result<()> {
    for image in [tiny, mosquitto, nginx] {
        let (old, new) = (info(&image(Version::V1)?)?, info(&image(Version::V2)?)?);
        assert_ne!(old.image_id, new.image_id);
        assert_eq!(old.diff_ids.len(), 2);
        assert_eq!(old.diff_ids[0], new.diff_ids[0]);
        assert_ne!(old.diff_ids[1], new.diff_ids[1]);
    }
    let (broker, web) = (info(&mosquitto(Version::V1)?)?, info(&nginx(Version::V1)?)?);
    assert_eq!(broker.diff_ids[0], web.diff_ids[0]);
    Ok(())
}

#[test]
fn a_cached_image_is_not_built_again() -> Result<()> {
    let first = tiny(Version::V2)?;
    let changed = fs::metadata(&first)?.modified()?;
    let second = tiny(Version::V2)?;
    assert_eq!(
        (&first, changed),
        (&second, fs::metadata(&second)?.modified()?)
    );
    Ok(())
}
