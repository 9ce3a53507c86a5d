//! [`Picture`] → bytes: PNG, JPEG, WebP and TIFF. The same picture always gives the same bytes.

use std::path::Path;

use ::tiff::encoder::colortype::{RGB8, RGB16, RGBA8, RGBA16};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::resize::unit;
use super::{Depth, Picture, refuse, tiff};
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
    /// them and the format can, 8 bits otherwise. No orientation tag and no colour profile.
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
        match (format, self.depth) {
            (Format::Jpeg, _) => self.jpeg(),
            (Format::WebP, _) => self.webp(),
            (Format::Png, Depth::Eight) => self.png(&self.interleaved(eight), false),
            (Format::Png, Depth::Sixteen) => {
                // PngEncoder takes 16-bit samples in the machine's byte order.
                let samples = self.interleaved(sixteen);
                let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_ne_bytes()).collect();
                self.png(&bytes, true)
            }
            (Format::Tiff, depth) => self.tiff(depth),
        }
        .map_err(|e| refuse("the result", format!("no {} of it: {e}", format.name())))
    }

    fn jpeg(&self) -> Encoded {
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
        JpegEncoder::new_with_quality(&mut bytes, QUALITY).write_image(
            &samples,
            self.width,
            self.height,
            ExtendedColorType::Rgb8,
        )?;
        Ok(bytes)
    }

    fn webp(&self) -> Encoded {
        let mut bytes = Vec::new();
        WebPEncoder::new_lossless(&mut bytes).write_image(
            &self.interleaved(eight),
            self.width,
            self.height,
            self.colour_type(false),
        )?;
        Ok(bytes)
    }

    fn png(&self, samples: &[u8], sixteen: bool) -> Encoded {
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
            .write_image(samples, self.width, self.height, self.colour_type(sixteen))?;
        Ok(bytes)
    }

    fn tiff(&self, depth: Depth) -> Encoded {
        Ok(match (depth, &self.alpha) {
            (Depth::Eight, None) => tiff::write::<RGB8>(self.size(), &self.interleaved(eight)),
            (Depth::Eight, Some(_)) => tiff::write::<RGBA8>(self.size(), &self.interleaved(eight)),
            (Depth::Sixteen, None) => tiff::write::<RGB16>(self.size(), &self.interleaved(sixteen)),
            (Depth::Sixteen, Some(_)) => {
                tiff::write::<RGBA16>(self.size(), &self.interleaved(sixteen))
            }
        }?)
    }

    fn colour_type(&self, sixteen: bool) -> ExtendedColorType {
        match (&self.alpha, sixteen) {
            (None, false) => ExtendedColorType::Rgb8,
            (Some(_), false) => ExtendedColorType::Rgba8,
            (None, true) => ExtendedColorType::Rgb16,
            (Some(_), true) => ExtendedColorType::Rgba16,
        }
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
