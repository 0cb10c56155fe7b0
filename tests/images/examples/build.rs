//! Builds all test images and prints what they are:
//! `cargo run -p test-images --example build [amd64|arm64|arm/v7]`.

use anyhow::Context;
use test_images::{Arch, Builder, Image, Version, info};

fn main() -> anyhow::Result<()> {
    let arch = match std::env::args().nth(1) {
        Some(name) => {
            let known = Arch::ALL.into_iter().find(|arch| arch.name() == name);
            known.with_context(|| format!("no test images for {name}"))?
        }
        None => Arch::host()?,
    };
    let builder = Builder::new(arch)?;
    for image in Image::ALL {
        for version in [Version::V1, Version::V2] {
            let path = builder.build(image, version)?;
            let info = info(&path)?;
            println!(
                "{:<10} v{} {:<22} {:>6} KiB  {}",
                image.name(),
                version.number(),
                info.package_version,
                info.compressed_bytes / 1024,
                path.display()
            );
        }
    }
    Ok(())
}
