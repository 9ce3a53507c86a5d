//! `--size`: a number of pixels, or a size in print.

use std::fmt;
use std::str::FromStr;

use impasto::shape::fitted_size;

/// How large the result is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// As the content.
    Own,
    /// Its long side in pixels.
    Long(u32),
    /// In print.
    Print(Print),
}

/// A size in print: as large as fits, in the content's own shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Print {
    /// The long and the short side, in units; of one that was given, the other may be anything.
    sides: (f64, Option<f64>),
    unit: Unit,
    /// Pixels per inch.
    pub dpi: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Centimetre,
    Millimetre,
    Inch,
}

impl Unit {
    const ALL: [Unit; 3] = [Unit::Centimetre, Unit::Millimetre, Unit::Inch];

    fn name(self) -> &'static str {
        match self {
            Unit::Centimetre => "cm",
            Unit::Millimetre => "mm",
            Unit::Inch => "in",
        }
    }

    fn inches(self) -> f64 {
        match self {
            Unit::Centimetre => 1.0 / 2.54,
            Unit::Millimetre => 1.0 / 25.4,
            Unit::Inch => 1.0,
        }
    }
}

impl Size {
    /// Width and height of a result for a content of that size.
    pub fn of(self, own: (u32, u32)) -> (u32, u32) {
        match self {
            Size::Own => own,
            Size::Long(side) => fitted_size(own, side),
            Size::Print(print) => fitted_size(own, print.long_side(own)),
        }
    }

    /// Pixels per inch, where it is a size in print.
    pub fn dpi(self) -> Option<f64> {
        match self {
            Size::Print(print) => Some(print.dpi),
            _ => None,
        }
    }
}

impl Print {
    /// The long side in pixels, for a content of that size.
    fn long_side(self, (width, height): (u32, u32)) -> u32 {
        let pixels = |side: f64| side * self.unit.inches() * self.dpi;
        let (long, short) = self.sides;
        let shape = f64::from(width.max(height)) / f64::from(width.min(height).max(1));
        let most = short.map_or(f64::INFINITY, |short| pixels(short) * shape);
        (pixels(long).min(most).round() as u32).max(1)
    }
}

/// `768`, `0`, `90x60cm@300dpi` or `36in@300dpi`.
impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) => Ok(Size::Own),
            Ok(side) => Ok(Size::Long(side)),
            Err(_) => print(text).map(Size::Print).ok_or_else(|| {
                "write a number of pixels such as 768, or a size in print such as 90x60cm@300dpi or 36in@300dpi"
                    .into()
            }),
        }
    }
}

fn print(text: &str) -> Option<Print> {
    let text = text.to_ascii_lowercase();
    let number = |text: &str| text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    let (size, dpi) = text.strip_suffix("dpi")?.split_once('@')?;
    let of_unit = |unit: Unit| Some((unit, size.strip_suffix(unit.name())?));
    let (unit, sides) = Unit::ALL.into_iter().find_map(of_unit)?;
    let sides = match sides.split_once(['x', '×']) {
        None => (number(sides)?, None),
        Some((a, b)) => {
            let (a, b) = (number(a)?, number(b)?);
            (a.max(b), Some(a.min(b)))
        }
    };
    Some(Print { sides, unit, dpi: number(dpi)? })
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Own => f.write_str("0"),
            Size::Long(side) => write!(f, "{side}"),
            Size::Print(Print { sides: (long, short), unit, dpi }) => {
                write!(f, "{long}")?;
                short.map_or(Ok(()), |short| write!(f, "x{short}"))?;
                write!(f, "{}@{dpi}dpi", unit.name())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_pixels_or_prints() {
        let of = |text: &str, own| text.parse::<Size>().map(|size| size.of(own));
        assert_eq!(of("0", (300, 200)), Ok((300, 200)));
        assert_eq!(of("600", (300, 200)), Ok((600, 400)));
        // 36 inches at 300 dots; 90 cm are 10,630.
        assert_eq!(of("36in@300dpi", (300, 200)), Ok((10_800, 7200)));
        assert_eq!(of("90cm@300dpi", (200, 300)), Ok((7087, 10_630)));
        assert_eq!(of("900mm@300DPI", (200, 300)), Ok((7087, 10_630)));
        // As large as fits: a square in 90×60 has sides of 60 cm, and a panorama one of 90.
        assert_eq!(of("90x60cm@300dpi", (500, 500)), Ok((7087, 7087)));
        assert_eq!(of("60×90cm@300dpi", (300, 100)), Ok((10_630, 3543)));
        assert_eq!(of("10x15cm@72.5dpi", (300, 200)), Ok((428, 285)));
        for wrong in [
            "-1",
            "",
            "cm",
            "90cm",
            "90@300dpi",
            "90x60@300dpi",
            "0cm@300dpi",
            "9cm@0dpi",
            "9x9x9cm@9dpi",
            "nancm@300dpi",
            "infcm@300dpi",
            "9cm@300",
            "1.5",
        ] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for text in ["0", "768", "90x60cm@300dpi", "36in@300dpi", "210x148.5mm@72.5dpi"] {
            assert_eq!(text.parse::<Size>().map(|size| size.to_string()).as_deref(), Ok(text));
        }
    }
}
