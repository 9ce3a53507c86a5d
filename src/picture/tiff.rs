//! TIFF's directory, for what `image` does not tell or write: whether the file is whole, whether
//! it is a camera's RAW in disguise, and what its fourth sample means.

use std::io::Cursor;

use ::tiff::decoder::Decoder;
use ::tiff::encoder::colortype::ColorType;
use ::tiff::encoder::{Compression, Predictor, TiffEncoder, TiffValue};
use ::tiff::tags::{ExtraSamples, Tag};
use ::tiff::{TiffError, TiffResult};

use super::{kind, refuse};
use crate::error::Result;

/// The tags of the first image; `None` where the decoder will refuse the file in its own words.
fn directory(bytes: &[u8]) -> Option<Decoder<Cursor<&[u8]>>> {
    Decoder::new(Cursor::new(bytes)).ok()
}

/// Whether all strips or tiles of the first image lie inside the file. The directory itself may
/// stand behind them, and is then what a cut takes away first.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut decoder = match Decoder::new(Cursor::new(bytes)) {
        Ok(decoder) => decoder,
        Err(TiffError::IoError(_)) => return false,
        Err(_) => return true, // broken in another way: the decoder has its own words for it
    };
    let mut ends = |offsets, counts| -> Option<u64> {
        let offsets = decoder.get_tag_u64_vec(offsets).ok()?;
        let counts = decoder.get_tag_u64_vec(counts).ok()?;
        let ends = offsets.iter().zip(&counts);
        ends.map(|(offset, count)| offset.saturating_add(*count)).max()
    };
    let end = ends(Tag::StripOffsets, Tag::StripByteCounts)
        .or_else(|| ends(Tag::TileOffsets, Tag::TileByteCounts));
    end.is_none_or(|end| end <= bytes.len() as u64)
}

/// Refuses DNG, NEF, ARW and other RAWs built on TIFF: their first image is a thumbnail, and
/// painting that instead of the picture would go unnoticed until the result is seen.
pub(super) fn check_not_raw(bytes: &[u8], name: &str) -> Result<()> {
    const DNG_VERSION: Tag = Tag::Unknown(50706);
    let Some(mut decoder) = directory(bytes) else {
        return Ok(());
    };
    let is_dng = matches!(decoder.find_tag(DNG_VERSION), Ok(Some(_)));
    let subfile = decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType);
    let is_thumbnail = matches!(subfile, Ok(Some(bits)) if bits & 1 == 1);
    if is_dng || is_thumbnail {
        let way_out = kind::FROM_RAW;
        let what = format!("this is a camera's RAW picture, which impasto can't read: {way_out}");
        return Err(refuse(name, what));
    }
    Ok(())
}

/// Whether colours are stored multiplied by alpha.
pub(super) fn is_premultiplied(bytes: &[u8]) -> bool {
    let extra = directory(bytes).and_then(|mut d| d.get_tag_u16_vec(Tag::ExtraSamples).ok());
    extra.is_some_and(|extra| extra.first() == Some(&ExtraSamples::AssociatedAlpha.to_u16()))
}

/// Writes interleaved samples as a deflated TIFF; four samples a pixel are marked as straight
/// alpha, which `image`'s encoder leaves open.
pub(super) fn write<C: ColorType>(
    (width, height): (u32, u32),
    samples: &[C::Inner],
) -> TiffResult<Vec<u8>>
where
    [C::Inner]: TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes)?
        .with_compression(Compression::Deflate(Default::default()))
        .with_predictor(Predictor::Horizontal);
    let mut image = encoder.new_image::<C>(width, height)?;
    if C::BITS_PER_SAMPLE.len() == 4 {
        let straight = [ExtraSamples::UnassociatedAlpha.to_u16()];
        image.encoder().write_tag(Tag::ExtraSamples, &straight[..])?;
    }
    image.write_data(samples)?;
    Ok(bytes.into_inner())
}
