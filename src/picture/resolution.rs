//! How large a picture is printed: pixels per inch, where a file says so and they are as many across as down.

use image::ImageFormat;

use super::{exif, jpeg, png};

/// Inches in a centimetre.
const CENTIMETRE: f64 = png::METRE / 100.0;

/// What a file's own header says, or its EXIF: cameras write it there alone.
pub(super) fn read(bytes: &[u8], format: ImageFormat, exif: Option<&[u8]>) -> Option<f64> {
    let own = match format {
        ImageFormat::Png => png::pixels_per_metre(bytes).and_then(|n| same(n, png::METRE)),
        ImageFormat::Jpeg => jpeg::density(bytes).and_then(|(unit, n)| of(unit, n)),
        // A TIFF is built as EXIF is.
        ImageFormat::Tiff => exif::resolution(bytes).and_then(|(unit, n)| of(unit - 1, n)),
        _ => None,
    };
    own.or_else(|| exif::resolution(exif?).and_then(|(unit, n)| of(unit - 1, n)))
}

/// Pixels per inch of those per inch (1) or centimetre (2), as JFIF counts them.
fn of(unit: u16, pixels: [f64; 2]) -> Option<f64> {
    match unit {
        1 => same(pixels, 1.0),
        2 => same(pixels, CENTIMETRE),
        _ => None,
    }
}

/// Pixels per inch of those per so many inches, across and down.
fn same([across, down]: [f64; 2], inches: f64) -> Option<f64> {
    let one = across.is_finite() && across > 0.0 && across == down;
    one.then_some(across / inches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_per_inch() {
        assert_eq!(of(1, [300.0, 300.0]), Some(300.0));
        assert_eq!(of(2, [100.0, 100.0]).map(f64::round), Some(254.0));
        assert_eq!(of(0, [1.0, 1.0]), None);
        assert_eq!(of(1, [300.0, 150.0]), None);
        assert_eq!(same([0.0, 0.0], 1.0), None);
    }
}
