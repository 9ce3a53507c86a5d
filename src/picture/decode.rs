//! Bytes → [`Picture`]: JPEG, PNG, WebP, TIFF, BMP and GIF, turned upright.

use std::io::Cursor;

use image::error::{ImageError, LimitErrorKind};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::carried::read_settings;
use super::light::unit;
use super::{Depth, Metadata, Picture, jpeg, kind, png, refuse, tiff};
use crate::error::{Error, Result};

/// The longest side of a picture that is read, in pixels.
pub const MAX_SIDE: u32 = 30_000;

/// The most pixels of a picture that is read: 16,384 × 16,384. At 3 to 4 floats a pixel that is
/// up to 4 GiB of memory before anything is painted.
pub const MAX_PIXELS: u64 = 1 << 28;

/// What a decoder may use for tables, colour profiles and notes, in bytes.
const HEADER_MEMORY: u64 = 64 << 20;

/// A file of n bytes is not believed to hold more than n times this many pixels, once that comes
/// to more than `FLAT_PIXELS`. A PNG of one bit a pixel, packed as tightly as deflate can, has
/// 8,256. Flat WebP and fax pages get tighter, but then there is nothing on them to paint.
const PIXELS_A_BYTE: u64 = 10_000;
const FLAT_PIXELS: u64 = 1 << 24;

impl Picture {
    /// Decodes a picture, the first frame of an animation, upright as its EXIF orientation says.
    ///
    /// Grey and palettes become RGB. Alpha that is opaque everywhere is dropped. Floating-point
    /// TIFF is taken as sRGB-coded and clamped to 0..=1. Samples stay as they are coded; the colour profile that
    /// says what they mean goes with the picture, as does other [`Metadata`].
    ///
    /// # Errors
    /// [`Error::Picture`] with `name` in it: bytes that are no picture, or of a kind that is not
    /// read; a picture that is cut off, damaged, or larger than [`MAX_SIDE`] or [`MAX_PIXELS`].
    pub fn decode(bytes: &[u8], name: &str) -> Result<Picture> {
        let mut source = Source::open(bytes, name)?;
        source.check_whole()?;
        // Decoders need working memory beside the pixels: as much again is plenty.
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(2 * source.decoder.total_bytes() + HEADER_MEMORY);
        source.decoder.set_limits(limits).map_err(|e| source.explain(&e))?;
        let size = source.upright_size();
        let metadata = Metadata::read(&mut source.decoder, source.format, bytes, size);
        let Source { decoder, orientation, format, .. } = source;
        let mut image =
            DynamicImage::from_decoder(decoder).map_err(|e| explain(&e, format, name))?;
        image.apply_orientation(orientation);
        let mut picture = from_image(image, name)?;
        if format == ImageFormat::Tiff && tiff::is_premultiplied(bytes) {
            picture.unmultiply();
        }
        Ok(picture.with_metadata(metadata))
    }

    /// Makes premultiplied colours straight.
    fn unmultiply(&mut self) {
        let Some(alpha) = &self.alpha else { return };
        for plane in self.rgb.chunks_exact_mut(alpha.len()) {
            for (colour, &alpha) in plane.iter_mut().zip(alpha) {
                if alpha > 0.0 {
                    *colour = unit(*colour / alpha);
                }
            }
        }
    }
}

/// (width, height) in pixels after orientation, from the header alone.
///
/// # Errors
/// As [`Picture::decode`], except that damage behind the header goes unnoticed.
pub fn probe(bytes: &[u8], name: &str) -> Result<(u32, u32)> {
    Ok(Source::open(bytes, name)?.upright_size())
}

/// The [settings](Metadata::settings) that a picture was made with, from its header alone.
///
/// # Errors
/// As [`probe`].
pub fn settings(bytes: &[u8], name: &str) -> Result<Option<String>> {
    let mut source = Source::open(bytes, name)?;
    Ok(read_settings(&mut source.decoder, source.format, bytes))
}

/// A picture whose header is read and found acceptable.
struct Source<'a, D> {
    bytes: &'a [u8],
    name: &'a str,
    format: ImageFormat,
    orientation: Orientation,
    decoder: D,
}

impl<'a> Source<'a, ()> {
    fn open(bytes: &'a [u8], name: &'a str) -> Result<Source<'a, impl ImageDecoder + 'a>> {
        let format = kind::recognise(bytes, name)?;
        match format {
            ImageFormat::Jpeg => jpeg::check_frame(bytes, name)?,
            ImageFormat::Tiff => tiff::check_not_raw(bytes, name)?,
            _ => {}
        }
        // These decoders meet an absurd size with words, or memory, of their own.
        let early = match format {
            ImageFormat::Png => png::size(bytes),
            ImageFormat::Bmp => bmp_size(bytes),
            _ => None,
        };
        if let Some(size) = early {
            check_size(size, bytes.len(), name)?;
        }
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(HEADER_MEMORY);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|e| explain(&e, format, name))?;
        check_size(decoder.dimensions(), bytes.len(), name)?;
        if let ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 = decoder.original_color_type()
        {
            return Err(refuse(
                name,
                "this is a CMYK picture, made for printing, which impasto can't read: convert it \
                 to RGB, for example with `magick INPUT -colorspace sRGB out.png`",
            ));
        }
        // A broken orientation tag is no reason to refuse a picture.
        let orientation = match format {
            ImageFormat::Png => png::exif(bytes).and_then(Orientation::from_exif_chunk),
            _ => decoder.orientation().ok(),
        };
        Ok(Source {
            bytes,
            name,
            format,
            orientation: orientation.unwrap_or(Orientation::NoTransforms),
            decoder,
        })
    }
}

impl<D: ImageDecoder> Source<'_, D> {
    /// (width, height) after orientation.
    fn upright_size(&self) -> (u32, u32) {
        let (width, height) = self.decoder.dimensions();
        match self.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (height, width),
            _ => (width, height),
        }
    }

    /// Refuses a file that ends before its picture does; decoders may paint the rest grey.
    fn check_whole(&self) -> Result<()> {
        let whole = match self.format {
            ImageFormat::Jpeg => jpeg::is_whole(self.bytes),
            ImageFormat::Png => png::is_whole(self.bytes),
            ImageFormat::WebP => riff_is_whole(self.bytes),
            ImageFormat::Gif => gif_is_whole(self.bytes),
            ImageFormat::Tiff => tiff::is_whole(self.bytes),
            _ => true, // BMP's decoder reads every row it promises
        };
        if whole { Ok(()) } else { Err(cut_off(self.format, self.name)) }
    }

    fn explain(&self, error: &ImageError) -> Error {
        explain(error, self.format, self.name)
    }
}

/// Whether a RIFF file, WebP's container, is as long as it says.
fn riff_is_whole(bytes: &[u8]) -> bool {
    let size = bytes.get(4..).and_then(|b| b.first_chunk::<4>());
    size.is_some_and(|&size| u64::from(u32::from_le_bytes(size)) + 8 <= bytes.len() as u64)
}

/// Whether a GIF's blocks go on to its trailer.
fn gif_is_whole(bytes: &[u8]) -> bool {
    fn table(flags: u8) -> usize {
        if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
    }
    let to_trailer = || -> Option<()> {
        let mut at = 13 + table(*bytes.get(10)?);
        loop {
            at += match *bytes.get(at)? {
                0x21 => 2,                               // extension: label
                0x2C => 11 + table(*bytes.get(at + 9)?), // image: place, size, colours, code size
                _ => return Some(()), // the trailer, or damage for the decoder to report
            };
            loop {
                let block = usize::from(*bytes.get(at)?);
                at += 1 + block;
                if block == 0 {
                    break;
                }
            }
        }
    };
    to_trailer().is_some()
}

/// A BMP's (width, height) in pixels; a negative height means that the top row comes first. `None`
/// for the oldest header, of 12 bytes, whose sides have 16 bits only.
fn bmp_size(bytes: &[u8]) -> Option<(u32, u32)> {
    const OLDEST: u8 = 12;
    if bytes.get(14) == Some(&OLDEST) {
        return None;
    }
    let side = |at: usize| Some(i32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    Some((side(18)?.unsigned_abs(), side(22)?.unsigned_abs()))
}

fn check_size((width, height): (u32, u32), bytes: usize, name: &str) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    let smaller =
        "make it smaller first, for example with `magick INPUT -resize 8000x8000 out.png`";
    if pixels == 0 {
        Err(refuse(name, "the picture has no pixels: a side is 0 long"))
    } else if width.max(height) > MAX_SIDE {
        Err(refuse(
            name,
            format!(
                "the picture is {width}×{height} pixels, and a side may have {MAX_SIDE}: {smaller}"
            ),
        ))
    } else if pixels > MAX_PIXELS {
        Err(refuse(
            name,
            format!(
                "the picture is {width}×{height}, {} megapixels, and impasto reads up to {}: \
                 {smaller}",
                pixels / 1_000_000,
                MAX_PIXELS / 1_000_000
            ),
        ))
    } else if pixels > FLAT_PIXELS && pixels / PIXELS_A_BYTE > bytes as u64 {
        Err(refuse(
            name,
            format!(
                "the file says it is {width}×{height} pixels, but {bytes} bytes can't hold such a \
                 picture: it is damaged, or cut off, so copy or download it again"
            ),
        ))
    } else {
        Ok(())
    }
}

fn cut_off(format: ImageFormat, name: &str) -> Error {
    let what = format!(
        "the {} file is cut off, it ends before its picture does: copy or download it again",
        label(format)
    );
    refuse(name, what)
}

fn explain(error: &ImageError, format: ImageFormat, name: &str) -> Error {
    let kind = label(format);
    match error {
        ImageError::IoError(_) => cut_off(format, name),
        ImageError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => refuse(
            name,
            format!(
                "the {kind} file asks for more memory than its picture needs: it is damaged, or \
                 save it again with an image editor, without extras"
            ),
        ),
        ImageError::Unsupported(_) => refuse(
            name,
            format!(
                "this sort of {kind} is not read ({error}): convert it to an ordinary 8-bit RGB \
                 PNG, for example with `magick INPUT -type TrueColor -depth 8 out.png`"
            ),
        ),
        _ => {
            refuse(name, format!("the {kind} file is damaged ({error}): copy or download it again"))
        }
    }
}

fn label(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        _ => "BMP",
    }
}

/// A sample as files store it.
trait Sample: Copy {
    fn to_unit(self) -> f32;
}

impl Sample for u8 {
    fn to_unit(self) -> f32 {
        f32::from(self) / 255.0
    }
}

impl Sample for u16 {
    fn to_unit(self) -> f32 {
        f32::from(self) / 65535.0
    }
}

impl Sample for f32 {
    fn to_unit(self) -> f32 {
        unit(self)
    }
}

fn from_image(image: DynamicImage, name: &str) -> Result<Picture> {
    use Depth::{Eight, Sixteen};
    use DynamicImage as D;
    let size = (image.width(), image.height());
    match &image {
        D::ImageLuma8(i) => split(size, i, 1, Eight),
        D::ImageLumaA8(i) => split(size, i, 2, Eight),
        D::ImageRgb8(i) => split(size, i, 3, Eight),
        D::ImageRgba8(i) => split(size, i, 4, Eight),
        D::ImageLuma16(i) => split(size, i, 1, Sixteen),
        D::ImageLumaA16(i) => split(size, i, 2, Sixteen),
        D::ImageRgb16(i) => split(size, i, 3, Sixteen),
        D::ImageRgba16(i) => split(size, i, 4, Sixteen),
        D::ImageRgb32F(i) => split(size, i, 3, Sixteen),
        D::ImageRgba32F(i) => split(size, i, 4, Sixteen),
        _ => Err(refuse(name, "its kind of samples is not read: save it as an RGB PNG")),
    }
}

/// Interleaved samples, `channels` a pixel (grey or RGB, the even counts with alpha) → planes.
fn split<S: Sample>(
    size: (u32, u32),
    samples: &[S],
    channels: usize,
    depth: Depth,
) -> Result<Picture> {
    let plane = |channel: usize| samples[channel..].iter().step_by(channels).map(|s| s.to_unit());
    let colours = if channels < 3 { [0; 3] } else { [0, 1, 2] };
    let mut rgb = Vec::with_capacity(3 * (samples.len() / channels));
    for channel in colours {
        rgb.extend(plane(channel));
    }
    let alpha: Option<Vec<f32>> = channels.is_multiple_of(2).then(|| plane(channels - 1).collect());
    let seen_through = alpha.filter(|alpha| alpha.iter().any(|&a| a < 1.0));
    Picture::from_planes(size, rgb, seen_through, depth)
}
