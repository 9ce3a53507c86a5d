//! [`Picture`] → bytes: PNG, JPEG, WebP and TIFF. The same picture always gives the same bytes.

use std::path::Path;

use ::png::{BitDepth, ColorType};
use ::tiff::encoder::colortype::{RGB8, RGB16, RGBA8, RGBA16};
use image::codecs::jpeg::{JpegEncoder, PixelDensity};
use image::{ExtendedColorType, ImageEncoder};
use image_webp::WebPEncoder;

use super::light::unit;
use super::{Depth, Metadata, Picture, exif, jpeg, png, refuse, tiff, xmp};
use crate::error::{Error, Result};

/// JPEG's quality, of 100; with full colour resolution (4:4:4), which the encoder always writes.
const QUALITY: u8 = 95;

/// A format that pictures are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lossless, 8 or 16 bits, alpha.
    Png,
    /// 8 bits, no alpha: what is transparent is laid over white.
    Jpeg,
    /// Lossless, 8 bits, alpha.
    WebP,
    /// Lossless, 8 or 16 bits, alpha.
    Tiff,
}

impl Format {
    /// The format that a path's extension asks for, whatever its case.
    ///
    /// # Errors
    /// [`Error::Usage`] for an extension of no format, or none at all.
    pub fn from_path(path: &Path) -> Result<Format> {
        let extension = path.extension().map(|e| e.to_string_lossy());
        match extension.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("png") => Ok(Format::Png),
            Some("jpg" | "jpeg") => Ok(Format::Jpeg),
            Some("webp") => Ok(Format::WebP),
            Some("tif" | "tiff") => Ok(Format::Tiff),
            _ => Err(Error::Usage(format!(
                "-o {}: {}: end the name in .png, .jpg, .jpeg, .webp, .tif or .tiff",
                path.display(),
                match extension {
                    Some(extension) => format!("impasto does not write .{extension} files"),
                    None => "the name has no extension to tell the format by".to_owned(),
                }
            ))),
        }
    }

    /// The longest side that the format can hold, in pixels; worth a look before any work.
    #[must_use]
    pub fn max_side(self) -> u32 {
        match self {
            Format::Png => i32::MAX as u32,
            Format::Jpeg => u16::MAX.into(),
            Format::WebP => 16_383,
            Format::Tiff => u32::MAX,
        }
    }

    /// The format's name, as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::WebP => "WebP",
            Format::Tiff => "TIFF",
        }
    }
}

impl Picture {
    /// Encodes the picture, every sample rounded to the nearest step: 16 bits where the source had
    /// them and the format can, 8 bits otherwise. The metadata goes with it; what of it is too large for the
    /// format (EXIF and settings of more than 64 KB in a JPEG) is left out.
    ///
    /// # Errors
    /// [`Error::Picture`] when a side exceeds [`Format::max_side`], or the encoder gives up (a
    /// TIFF beyond 4 GiB).
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        let (width, height) = self.size();
        if width.max(height) > format.max_side() {
            return Err(refuse(
                "the result",
                format!(
                    "it is {width}×{height} pixels, and a {} picture has at most {} on a side: \
                     write a .png or .tif",
                    format.name(),
                    format.max_side()
                ),
            ));
        }
        let exif = self.metadata.exif.clone();
        let exif = exif.and_then(|exif| exif::settled(exif, self.size()));
        let exif = exif.map(|exif| exif::printed(exif, self.metadata.dpi));
        let metadata = Metadata { exif, ..self.metadata.clone() };
        match format {
            Format::Jpeg => self.jpeg(&metadata),
            Format::WebP => self.webp(metadata),
            Format::Png => self.png(&metadata),
            Format::Tiff => self.tiff(&metadata),
        }
        .map_err(|e| refuse("the result", format!("no {} of it: {e}", format.name())))
    }

    fn jpeg(&self, metadata: &Metadata) -> Encoded {
        let samples = match &self.alpha {
            None => self.interleaved(eight),
            Some(alpha) => {
                let mut flat = self.clone();
                for plane in flat.rgb.chunks_exact_mut(alpha.len()) {
                    for (colour, alpha) in plane.iter_mut().zip(alpha) {
                        *colour = *colour * alpha + (1.0 - alpha);
                    }
                }
                flat.alpha = None;
                flat.interleaved(eight)
            }
        };
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
        let whole = |dpi: f64| (1.0..=f64::from(u16::MAX)).contains(&dpi.round());
        if let Some(dpi) = metadata.dpi.filter(|dpi| whole(*dpi)) {
            encoder.set_pixel_density(PixelDensity::dpi(dpi.round() as u16));
        }
        let fits = |data: &Vec<u8>, most| data.len() <= most;
        if let Some(icc) = metadata.icc.clone().filter(|icc| fits(icc, jpeg::MAX_ICC)) {
            encoder.set_icc_profile(icc)?;
        }
        if let Some(exif) = metadata.exif.clone().filter(|exif| fits(exif, jpeg::MAX_EXIF)) {
            encoder.set_exif_metadata(exif)?;
        }
        encoder.write_image(&samples, self.width, self.height, ExtendedColorType::Rgb8)?;
        if let Some(settings) = &metadata.settings {
            jpeg::insert_xmp(&mut bytes, &xmp::packet(settings));
        }
        Ok(bytes)
    }

    fn webp(&self, metadata: Metadata) -> Encoded {
        let mut bytes = Vec::new();
        let mut encoder = WebPEncoder::new(&mut bytes);
        encoder.set_icc_profile(metadata.icc.unwrap_or_default());
        encoder.set_exif_metadata(metadata.exif.unwrap_or_default());
        encoder.set_xmp_metadata(metadata.settings.map_or(Vec::new(), |s| xmp::packet(&s)));
        let colour = match self.alpha {
            None => image_webp::ColorType::Rgb8,
            Some(_) => image_webp::ColorType::Rgba8,
        };
        encoder.encode(&self.interleaved(eight), self.width, self.height, colour)?;
        Ok(bytes)
    }

    fn png(&self, metadata: &Metadata) -> Encoded {
        let colour = if self.alpha.is_some() { ColorType::Rgba } else { ColorType::Rgb };
        let (depth, samples) = match self.depth {
            Depth::Eight => (BitDepth::Eight, self.interleaved(eight)),
            Depth::Sixteen => {
                let samples = self.interleaved(sixteen);
                (BitDepth::Sixteen, samples.iter().flat_map(|s| s.to_be_bytes()).collect())
            }
        };
        Ok(png::write(self.size(), (colour, depth), &samples, metadata)?)
    }

    fn tiff(&self, metadata: &Metadata) -> Encoded {
        let size = self.size();
        Ok(match (self.depth, &self.alpha) {
            (Depth::Eight, None) => tiff::write::<RGB8>(size, &self.interleaved(eight), metadata),
            (Depth::Eight, Some(_)) => {
                tiff::write::<RGBA8>(size, &self.interleaved(eight), metadata)
            }
            (Depth::Sixteen, None) => {
                tiff::write::<RGB16>(size, &self.interleaved(sixteen), metadata)
            }
            (Depth::Sixteen, Some(_)) => {
                tiff::write::<RGBA16>(size, &self.interleaved(sixteen), metadata)
            }
        }?)
    }

    /// RGB or RGBA samples, pixel after pixel.
    fn interleaved<S>(&self, quantise: impl Fn(f32) -> S) -> Vec<S> {
        let pixels = self.rgb.len() / 3;
        let channels = if self.alpha.is_some() { 4 } else { 3 };
        let mut samples = Vec::with_capacity(channels * pixels);
        for i in 0..pixels {
            samples.extend([0, 1, 2].map(|plane| quantise(self.rgb[plane * pixels + i])));
            samples.extend(self.alpha.as_ref().map(|alpha| quantise(alpha[i])));
        }
        samples
    }
}

type Encoded = std::result::Result<Vec<u8>, Box<dyn std::error::Error>>;

fn eight(sample: f32) -> u8 {
    (unit(sample) * 255.0).round() as u8
}

fn sixteen(sample: f32) -> u16 {
    (unit(sample) * 65535.0).round() as u16
}
