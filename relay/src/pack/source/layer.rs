//! A layer in any usual encoding → its plain tar.
//!
//! Goes by the first bytes, not by media types, which are often wrong. Checks nothing: the caller
//! compares the result with the diffID.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::error::SourceError;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z'];
const BZIP2: &[u8] = b"BZh";

/// Whether these first bytes are those of a compressed stream.
pub(crate) fn is_compressed(magic: &[u8]) -> bool {
    [GZIP, ZSTD, XZ, BZIP2]
        .iter()
        .any(|known| magic.starts_with(known))
}

/// The plain bytes of a stream that may be compressed.
pub(crate) fn plain<'a>(stream: impl Read + 'a) -> Result<Box<dyn Read + 'a>, SourceError> {
    let io = |error| SourceError::Io {
        what: "layer".to_string(),
        error,
    };
    let mut stream = BufReader::with_capacity(128 << 10, stream);
    let magic = stream.fill_buf().map_err(io)?;
    if magic.starts_with(GZIP) {
        Ok(Box::new(MultiGzDecoder::new(stream)))
    } else if magic.starts_with(ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(stream).map_err(io)?;
        Ok(Box::new(decoder))
    } else if magic.starts_with(XZ) {
        Err(SourceError::Compression("xz"))
    } else if magic.starts_with(BZIP2) {
        Err(SourceError::Compression("bzip2"))
    } else {
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn unpack(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        plain(bytes).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn every_encoding_gives_the_same_bytes() {
        let tar = vec![b'x'; 100_000];
        assert_eq!(unpack(&tar), tar);
        assert_eq!(unpack(b""), b"");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        assert_eq!(unpack(&gzip.finish().unwrap()), tar);
        assert_eq!(unpack(&zstd::encode_all(&tar[..], 1).unwrap()), tar);
        assert!(matches!(
            plain(&b"\xfd7zXZ\0"[..]),
            Err(SourceError::Compression("xz"))
        ));
    }
}
