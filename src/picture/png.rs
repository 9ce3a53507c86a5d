//! PNG's chunks, for what its decoder does not tell or write: whether the file is whole, EXIF that stands behind
//! the pixels, and settings.

use std::borrow::Cow;

use ::png::{
    BitDepth, ColorType, Compression, Encoder, EncodingError, Filter, Info, PixelDimensions, Unit,
};

use super::Metadata;

/// Inches in a metre, the unit of the resolution.
pub(super) const METRE: f64 = 39.370_078_740_157_48;
/// The name of the text chunk with the settings.
const KEYWORD: &str = "impasto";

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

/// The `eXIf` chunk. The decoder sees it only in front of the pixels, but it may stand behind them
/// too, and ImageMagick writes it there.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    chunks(bytes).find(|(kind, _)| *kind == b"eXIf").map(|(_, exif)| exif)
}

/// Pixels per metre across and down.
pub(super) fn pixels_per_metre(bytes: &[u8]) -> Option<[f64; 2]> {
    let (_, data) = chunks(bytes).find(|(kind, _)| *kind == b"pHYs")?;
    let number = |at: usize| Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?).into());
    // In units that are not metres it says what shape pixels have.
    (*data.get(8)? == 1).then_some([number(0)?, number(4)?])
}

/// The settings. An `iTXt` chunk is keyword, two bytes about compression, language, translated keyword and text, each
/// but the last ended by a zero; ours is not compressed.
pub(super) fn settings(bytes: &[u8]) -> Option<String> {
    let text = |(kind, data): (&[u8; 4], &[u8])| {
        let data = data.strip_prefix(KEYWORD.as_bytes())?.strip_prefix(&[0; 3])?;
        let (_language, data) = split_at_zero(data)?;
        let (_translated, text) = split_at_zero(data)?;
        (kind == b"iTXt").then(|| String::from_utf8(text.to_vec()).ok())?
    };
    chunks(bytes).find_map(text)
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&b| b == 0)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// Writes interleaved samples, those of 16 bits with the high byte first.
pub(super) fn write(
    (width, height): (u32, u32),
    (colour, depth): (ColorType, BitDepth),
    samples: &[u8],
    metadata: &Metadata,
) -> Result<Vec<u8>, EncodingError> {
    let mut info = Info::with_size(width, height);
    (info.color_type, info.bit_depth) = (colour, depth);
    info.icc_profile = metadata.icc.as_deref().map(Cow::Borrowed);
    info.exif_metadata = metadata.exif.as_deref().map(Cow::Borrowed);
    info.pixel_dims = metadata.dpi.map(|dpi| {
        let pixels = (dpi * METRE).round() as u32;
        PixelDimensions { xppu: pixels, yppu: pixels, unit: Unit::Meter }
    });
    let mut bytes = Vec::new();
    let mut encoder = Encoder::with_info(&mut bytes, info)?;
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::Adaptive);
    if let Some(settings) = &metadata.settings {
        encoder.add_itxt_chunk(KEYWORD.to_owned(), settings.clone())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(samples)?;
    writer.finish()?;
    Ok(bytes)
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
