//! TIFF's directory, for what `image` does not tell or write: whether the file is whole, whether
//! it is a camera's RAW in disguise, what its fourth sample means, and metadata.

use std::io::Cursor;

use ::tiff::decoder::Decoder;
use ::tiff::encoder::colortype::ColorType;
use ::tiff::encoder::{
    Compression, DirectoryEncoder, Predictor, Rational, TiffEncoder, TiffKindStandard, TiffValue,
};
use ::tiff::tags::{ExtraSamples, ResolutionUnit, Tag, Type, ValueBuffer};
use ::tiff::{Directory, TiffError, TiffResult};

use super::exif::{About, Field};
use super::{Metadata, kind, refuse, xmp};
use crate::error::Result;

/// Resolutions are written in parts of so many to a pixel.
const PARTS: f64 = 1000.0;
/// The tag of an XMP packet.
const XMP: u16 = 700;

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

/// The colour profile. (`image` refuses one that is larger than the picture.)
pub(super) fn icc(bytes: &[u8]) -> Option<Vec<u8>> {
    value(bytes, Tag::IccProfile)
}

/// The XMP packet.
pub(super) fn xmp(bytes: &[u8]) -> Option<Vec<u8>> {
    value(bytes, Tag::Unknown(XMP))
}

fn value(bytes: &[u8], tag: Tag) -> Option<Vec<u8>> {
    let mut value = ValueBuffer::empty(Type::BYTE);
    directory(bytes)?.image_ifd().find_tag_buf(tag, &mut value).ok()??;
    Some(value.as_bytes().to_vec())
}

/// What the directories say about the photograph, as an EXIF block.
pub(super) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    let about = About::read(bytes)?;
    let write = || -> TiffResult<Vec<u8>> {
        let mut block = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut block)?;
        let links = write_linked(&mut encoder, &about)?;
        let mut main = encoder.image_directory()?;
        write_fields(&mut main, &about.main)?;
        write_links(&mut main, links)?;
        main.finish()?;
        Ok(block.into_inner())
    };
    write().ok()
}

type Out<'a> = &'a mut Cursor<Vec<u8>>;
type Fields<'a, 'b> = DirectoryEncoder<'a, Out<'b>, TiffKindStandard>;
/// The places of directories, by the tags that lead to them.
type Links = Vec<(Tag, u32)>;

/// Writes the directories that others lead to.
fn write_linked(encoder: &mut TiffEncoder<Out<'_>>, about: &About) -> TiffResult<Links> {
    let mut links = Links::new();
    for (tag, fields) in [(Tag::ExifDirectory, &about.shot), (Tag::GpsDirectory, &about.gps)] {
        if !fields.is_empty() {
            let mut directory = encoder.extra_directory()?;
            write_fields(&mut directory, fields)?;
            links.push((tag, directory.finish_with_offsets()?.offset));
        }
    }
    Ok(links)
}

fn write_fields(directory: &mut Fields<'_, '_>, fields: &[Field]) -> TiffResult<()> {
    let mut written = Directory::empty();
    for field in fields {
        let entry = directory.write_entry_bytes(field.kind, &field.value)?;
        written.extend([(field.tag, entry)]);
    }
    directory.extend_from(&written);
    Ok(())
}

fn write_links(directory: &mut Fields<'_, '_>, links: Links) -> TiffResult<()> {
    links.into_iter().try_for_each(|(tag, place)| directory.write_tag(tag, place))
}

/// Writes interleaved samples as a deflated TIFF; four samples a pixel are marked as straight
/// alpha, which `image`'s encoder leaves open.
pub(super) fn write<C: ColorType>(
    (width, height): (u32, u32),
    samples: &[C::Inner],
    metadata: &Metadata,
) -> TiffResult<Vec<u8>>
where
    [C::Inner]: TiffValue,
{
    let about = metadata.exif.as_deref().and_then(About::read).unwrap_or_default();
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes)?
        .with_compression(Compression::Deflate(Default::default()))
        .with_predictor(Predictor::Horizontal);
    let links = write_linked(&mut encoder, &about)?;
    let mut image = encoder.new_image::<C>(width, height)?;
    if let Some(dpi) = metadata.dpi {
        let pixels = Rational { n: (dpi * PARTS).round() as u32, d: PARTS as u32 };
        image.resolution(ResolutionUnit::Inch, pixels);
    }
    let directory = image.encoder();
    write_fields(directory, &about.main)?;
    write_links(directory, links)?;
    if let Some(icc) = &metadata.icc {
        directory.write_tag(Tag::IccProfile, &icc[..])?;
    }
    if let Some(settings) = &metadata.settings {
        directory.write_tag(Tag::Unknown(XMP), &xmp::packet(settings)[..])?;
    }
    if C::BITS_PER_SAMPLE.len() == 4 {
        let straight = [ExtraSamples::UnassociatedAlpha.to_u16()];
        directory.write_tag(Tag::ExtraSamples, &straight[..])?;
    }
    image.write_data(samples)?;
    Ok(bytes.into_inner())
}
