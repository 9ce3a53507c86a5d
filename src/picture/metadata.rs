//! What goes with a picture: colour profile, EXIF, settings.

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
    /// Pixels per inch in print, where that is known; PNG, JPEG and TIFF keep it.
    pub dpi: Option<f64>,
    /// What the picture was made with: JSON of a few KB. A PNG keeps it in an `iTXt` chunk called `impasto`, the
    /// other formats in an XMP packet.
    pub settings: Option<String>,
}
