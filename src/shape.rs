//! The ground that every room stands on: extents ([`Shape`]) and how numbers are stored ([`Precision`]).
//!
//! Kernels compute in `f32`; feature maps and their gradients may be stored as `f16`. Feature maps are
//! planar C×H×W without padding between rows or channels,
//! convolution weights O×I×K×K, Gram matrices C×C, losses a single number with the empty shape.

use std::fmt;

use crate::error::{Error, Result, names};

/// How numbers are stored. Kernels compute with `f32` whatever it is; only cooperative matrices take factors of `f16`, with
/// sums of `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 4 bytes, a relative error of 6e-8.
    #[default]
    F32,
    /// 2 bytes, a relative error of 5e-4 from 6e-5 to 65,504: for feature maps and their gradients.
    F16,
}

names!(Precision, "precision", F32 = "f32", F16 = "f16");

impl Precision {
    /// Size of a number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// Which edges of a picture meet: where they do, it goes on beyond one of them at the other, without an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wrap {
    /// None.
    #[default]
    None,
    /// The left and the right one.
    X,
    /// The upper and the lower one.
    Y,
    /// All, as on a torus.
    Both,
}

names!(Wrap, "edges that meet,", X = "x", Y = "y", Both = "both", None = "none");

impl Wrap {
    /// Whether the left edge meets the right one.
    pub fn x(self) -> bool {
        matches!(self, Wrap::X | Wrap::Both)
    }

    /// Whether the upper edge meets the lower one.
    pub fn y(self) -> bool {
        matches!(self, Wrap::Y | Wrap::Both)
    }

    /// A picture's width and height with the sides along which edges meet rounded to the nearest multiple of `step` that is
    /// not 0.
    #[must_use]
    pub fn rounded(self, (width, height): (u32, u32), step: u32) -> (u32, u32) {
        let nearest = |side: u32| ((side.saturating_add(step / 2)) / step).max(1) * step;
        let side = |wraps, side| if wraps { nearest(side) } else { side };
        (side(self.x(), width), side(self.y(), height))
    }
}

/// The extents of a tensor, outermost first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The shape of a single number.
    pub fn scalar() -> Self {
        Shape(Vec::new())
    }

    /// Product of the extents; 1 for a scalar.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Size in bytes of that many `f32`.
    pub fn bytes(&self) -> u64 {
        4 * self.elements() as u64
    }

    /// The extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The extents of a feature map, `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] in the name of `op` when there are not exactly three.
    pub fn chw(&self, op: &'static str) -> Result<[usize; 3]> {
        self.0.as_slice().try_into().map_err(|_| Error::Shape {
            op,
            what: format!("takes a feature map of shape C×H×W, not {self}"),
        })
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape(dims.to_vec())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("scalar");
        }
        for (i, dim) in self.0.iter().enumerate() {
            write!(f, "{}{dim}", if i > 0 { "×" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The size at which the longer side of `(width, height)` is `long_side` pixels: the shorter one
/// in proportion, rounded (a half up), and at least 1.
#[must_use]
pub fn fitted_size((width, height): (u32, u32), long_side: u32) -> (u32, u32) {
    let long = width.max(height).max(1);
    let side = |side: u32| {
        let rounded = (2 * u128::from(side) * u128::from(long_side) + u128::from(long))
            / (2 * u128::from(long));
        // side ≤ long, so the quotient is at most long_side.
        u32::try_from(rounded).unwrap_or(long_side).max(1)
    };
    (side(width), side(height))
}
