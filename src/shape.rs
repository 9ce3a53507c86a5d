//! The ground that every room stands on: extents ([`Shape`]) and how numbers are stored ([`Precision`]).
//!
//! Kernels compute in `f32`; feature maps and their gradients may be stored as `f16`. Feature maps are
//! planar C×H×W without padding between rows or channels,
//! convolution weights O×I×K×K, Gram matrices C×C, losses a single number with the empty shape.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

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

impl Precision {
    /// Both, in the order in which messages list them.
    pub const ALL: [Self; 2] = [Self::F32, Self::F16];

    /// `f32` or `f16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// Size of a number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|precision| precision.name() == name);
        known.ok_or_else(|| {
            Error::Usage(format!("precision `{name}` is unknown; choose f32 or f16"))
        })
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
