//! What a picture file says about its picture.

use image::{ImageDecoder, ImageFormat};

use super::metadata::Metadata;
use super::{exif, png, resolution, tiff, xmp};

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
            dpi: resolution::read(bytes, format, exif.as_deref()),
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
