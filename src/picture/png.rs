//! PNG's chunks, for what its decoder does not tell: whether the file is whole, and an
//! orientation that stands behind the pixels.

use image::metadata::Orientation;

/// Walks the chunks as (type, data). Ends where the bytes end.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (data, rest) = rest.split_at_checked(u32::from_be_bytes(*length).try_into().ok()?)?;
        let (_crc, rest) = rest.split_first_chunk::<4>()?;
        self.0 = rest;
        Some((kind, data))
    }
}

fn chunks(bytes: &[u8]) -> Chunks<'_> {
    const SIGNATURE: usize = 8;
    Chunks(bytes.get(SIGNATURE..).unwrap_or(&[]))
}

/// Whether the end chunk is there.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    chunks(bytes).any(|(kind, _)| kind == b"IEND")
}

/// The orientation in the `eXIf` chunk. The decoder sees it only in front of the pixels, but it
/// may stand behind them too, and ImageMagick writes it there.
pub(super) fn orientation(bytes: &[u8]) -> Option<Orientation> {
    let (_, exif) = chunks(bytes).find(|(kind, _)| *kind == b"eXIf")?;
    Orientation::from_exif_chunk(exif)
}

/// (width, height) as the header gives them.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let (b"IHDR", data) = chunks(bytes).next()? else {
        return None;
    };
    let (width, rest) = data.split_first_chunk::<4>()?;
    let height = rest.first_chunk::<4>()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}
