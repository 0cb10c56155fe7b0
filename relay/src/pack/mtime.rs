//! Finds layers whose files carry the time of the build.
//!
//! Such layers differ in every build even where nothing changed, which ruins every delta scheme.
//! Reads tar headers as the bytes pass by; gives up silently on anything odd, since all that
//! hangs on it is a warning.

const BLOCK: usize = 512;
/// How long before the layer was made a file's time counts as "of the build", in seconds.
const BUILD_S: i64 = 6 * 3600;

/// What was seen in a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    /// How many entries carry a time of the build.
    pub(crate) entries: u64,
    /// The name of the first.
    pub(crate) example: String,
}

/// Looks at the tar headers of one layer.
#[derive(Debug)]
pub(crate) struct Scan {
    /// When the layer was made: seconds since 1970.
    made_at: i64,
    block: Vec<u8>,
    /// Bytes of content that are still to pass.
    skip: u64,
    lost: bool,
    rebuilt: Rebuilt,
}

impl Scan {
    /// A scan of a layer that was made at `made_at` (its entry in the image's history).
    pub(crate) fn new(made_at: i64) -> Self {
        Self {
            made_at,
            block: Vec::with_capacity(BLOCK),
            skip: 0,
            lost: false,
            rebuilt: Rebuilt::default(),
        }
    }

    /// The next bytes of the layer.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.lost {
            if self.skip > 0 {
                let passed = bytes
                    .len()
                    .min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                self.skip -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            let taken = (BLOCK - self.block.len()).min(bytes.len());
            self.block.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.block.len() == BLOCK {
                self.header();
                self.block.clear();
            }
        }
    }

    /// What was seen.
    pub(crate) fn finish(self) -> Rebuilt {
        self.rebuilt
    }

    fn header(&mut self) {
        let Some(header) = self
            .block
            .first_chunk::<BLOCK>()
            .map(|block| tar::Header::from_byte_slice(block))
        else {
            return;
        };
        if self.block.iter().all(|b| *b == 0) {
            return;
        }
        let (Ok(size), Ok(mtime), Ok(sum)) = (header.entry_size(), header.mtime(), header.cksum())
        else {
            self.lost = true;
            return;
        };
        if sum != checksum(&self.block) {
            self.lost = true;
            return;
        }
        let kind = header.entry_type();
        // An extended header may say that the content is larger than the plain one can; such
        // files are over 8 GiB, and a scan that loses its way stops at the checksum.
        self.skip = size.div_ceil(BLOCK as u64) * BLOCK as u64;
        let mtime = i64::try_from(mtime).unwrap_or(i64::MAX);
        // A clamped time is never later than the layer, and equal to it where it was clamped.
        let of_build = mtime != self.made_at && mtime > self.made_at - BUILD_S;
        if (kind.is_file() || kind.is_dir()) && of_build {
            if self.rebuilt.entries == 0 {
                self.rebuilt.example = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            }
            self.rebuilt.entries += 1;
        }
    }
}

/// The sum of all bytes of a header, those of the sum itself counted as spaces.
fn checksum(block: &[u8]) -> u32 {
    block
        .iter()
        .enumerate()
        .map(|(index, byte)| {
            if (148..156).contains(&index) {
                u32::from(b' ')
            } else {
                u32::from(*byte)
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: i64 = 1_700_000_000;

    fn layer(mtimes: &[i64]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (index, mtime) in mtimes.iter().enumerate() {
            let content = vec![1u8; 700 * index];
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(*mtime as u64);
            builder
                .append_data(&mut header, format!("f{index}"), &content[..])
                .unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn scan(bytes: &[u8], chunk: usize) -> Rebuilt {
        let mut scan = Scan::new(MADE);
        for part in bytes.chunks(chunk) {
            scan.feed(part);
        }
        scan.finish()
    }

    #[test]
    fn clamped_and_old_times_are_fine() {
        assert_eq!(
            scan(&layer(&[MADE, MADE, 1, MADE - BUILD_S]), 100).entries,
            0
        );
    }

    #[test]
    fn times_of_the_build_are_seen_however_the_bytes_come() {
        let bytes = layer(&[MADE, MADE - 10, MADE + 10, 5]);
        for chunk in [1, 7, 512, 100_000] {
            let rebuilt = scan(&bytes, chunk);
            assert_eq!(
                (rebuilt.entries, rebuilt.example.as_str()),
                (2, "f1"),
                "{chunk}"
            );
        }
    }

    #[test]
    fn rubbish_is_given_up() {
        assert_eq!(scan(&[7; 5000], 64), Rebuilt::default());
    }
}
