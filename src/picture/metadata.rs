//! What a picture file says about its picture: colour profile, EXIF, settings.

use image::{ImageDecoder, ImageFormat};

use super::{Picture, exif, png, tiff, xmp};

/// What goes with a picture from file to file. Whatever of it is damaged is left out when a picture is decoded,
/// and never a reason to refuse one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The ICC profile that says what the picture's RGB means; without one it is sRGB. Profiles of grey and
    /// CMYK are left out, because pixels become RGB.
    pub icc: Option<Vec<u8>>,
    /// EXIF: a TIFF header and its directories. Pixels are turned upright when they are decoded, so it says that
    /// they are; it has the picture's own sides and no thumbnail.
    pub exif: Option<Vec<u8>>,
    /// What the picture was made with: JSON of a few KB. A PNG keeps it in an `iTXt` chunk called `impasto`, the
    /// other formats in an XMP packet.
    pub settings: Option<String>,
}

impl Metadata {
    /// What the decoder tells, and what it does not.
    pub(super) fn read(
        decoder: &mut impl ImageDecoder,
        format: ImageFormat,
        bytes: &[u8],
        size: (u32, u32),
    ) -> Self {
        let exif = match format {
            ImageFormat::Png => png::exif(bytes).map(<[u8]>::to_vec),
            ImageFormat::Tiff => tiff::exif(bytes),
            _ => decoder.exif_metadata().ok().flatten(),
        };
        let icc = match format {
            ImageFormat::Tiff => tiff::icc(bytes),
            _ => decoder.icc_profile().ok().flatten(),
        };
        Metadata {
            icc: icc.filter(|icc| is_rgb(icc)),
            exif: exif.and_then(|exif| exif::settled(exif, size)),
            settings: read_settings(decoder, format, bytes),
        }
    }
}

pub(super) fn read_settings(
    decoder: &mut impl ImageDecoder,
    format: ImageFormat,
    bytes: &[u8],
) -> Option<String> {
    match format {
        ImageFormat::Png => png::settings(bytes),
        ImageFormat::Tiff => xmp::settings(&tiff::xmp(bytes)?),
        _ => xmp::settings(&decoder.xmp_metadata().ok().flatten()?),
    }
}

/// Whether these bytes begin like a profile of RGB colours (ICC.1:2022, 7.2).
fn is_rgb(icc: &[u8]) -> bool {
    icc.get(16..20) == Some(b"RGB ") && icc.get(36..40) == Some(b"acsp")
}

impl Picture {
    /// What the picture's file said about it.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The same picture with other metadata. Pixels stay as they are.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Picture {
        Picture { metadata, ..self }
    }
}
