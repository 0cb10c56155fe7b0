//! Builds all test images and prints what they are: `cargo run -p test-images --example build`.

use test_images::{Arch, Builder, Image, Version, info};

fn main() -> anyhow::Result<()> {
    let builder = Builder::new(Arch::host()?)?;
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
