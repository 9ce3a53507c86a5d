//! Keeping colours (Gatys, Bethge, Hertzmann & Shechtman, "Preserving Color in Neural Artistic Style Transfer",
//! 2016), by their luminance-only transfer and by matching the style's colours to the content's.

use std::borrow::Cow;

use super::Picture;
use super::light::unit;

/// Rec. 601's weights, those of Y′ in YCbCr and YIQ.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Variance of a step of 8 bits. Along an axis that a style varies less on there is little to stretch but noise, and
/// it counts as if it varied so much.
const FLAT: f64 = 1.0 / (255.0 * 255.0);

impl Picture {
    /// This picture where `shares` (H×W) are 1, `below`, of the same size, where they are 0, and in between a mixture
    /// of coded values, as painting programs do. Alpha and metadata stay.
    #[must_use]
    pub fn over(mut self, below: &Picture, shares: &[f32]) -> Picture {
        let pixels = self.rgb.len() / 3;
        for (at, (value, other)) in self.rgb.iter_mut().zip(&below.rgb).enumerate() {
            let share = shares[at % pixels];
            *value = share * *value + (1.0 - share) * other;
        }
        self
    }

    /// This picture's colours with another one's luma.
    ///
    /// Luma and chroma are those of YCbCr and YIQ on coded values, where brightness is about as even as to the eye:
    /// chroma is what remains of a colour once its luma is taken off, so that grey stays grey, and a colour's hue is
    /// kept by scaling it. What the space does not have is desaturated until it does: clipping channels one by one
    /// would change hue and luma. Alpha, depth and metadata stay. The other picture is brought to this one's size.
    #[must_use]
    pub fn with_luma_of(&self, other: &Picture) -> Picture {
        let other = if other.size() == self.size() {
            Cow::Borrowed(other)
        } else {
            Cow::Owned(other.resized(self.width, self.height))
        };
        let mut result = self.clone();
        let pixels = self.rgb.len() / 3;
        for i in 0..pixels {
            let colour = [0, 1, 2].map(|plane| unit(self.rgb[plane * pixels + i]));
            let from = [0, 1, 2].map(|plane| unit(other.rgb[plane * pixels + i]));
            let moved = with_luma(colour, unit(luma(from)));
            for (plane, sample) in moved.into_iter().enumerate() {
                result.rgb[plane * pixels + i] = sample;
            }
        }
        result
    }
}

fn luma(rgb: [f32; 3]) -> f32 {
    rgb.iter().zip(LUMA).map(|(sample, weight)| sample * weight).sum()
}

/// The colour with another luma, and as much of its chroma as fits in 0..=1.
fn with_luma(colour: [f32; 3], to: f32) -> [f32; 3] {
    let from = luma(colour);
    let chroma = colour.map(|sample| sample - from);
    let room = |&chroma: &f32| match chroma {
        c if c > 0.0 => (1.0 - to) / c,
        c if c < 0.0 => to / -c,
        _ => 1.0,
    };
    let share = chroma.iter().map(room).fold(1.0, f32::min);
    chroma.map(|chroma| unit(to + share * chroma))
}

/// The style with its colours moved by one linear map, so that their mean and covariance are those of the content.
///
/// Of all such maps it is the one that moves colours least: Monge's and Kantorovich's (Pitié & Kokaram, "The linear
/// Monge–Kantorovitch linear colour mapping for example-based colour transfer", CVMP 2007). Pixels count by their
/// alpha. The moments are met up to two things: what comes to lie outside 0..=1 is clipped, and a style that hardly
/// varies along some axis, as a drawing in greys, can't be made to. Both pictures are taken to be in one colour
/// space.
#[must_use]
pub fn match_colours(style: &Picture, content: &Picture) -> Picture {
    let of = |picture: &Picture| Colours::of(&picture.rgb, picture.alpha.as_deref());
    let mut result = style.clone();
    of(style).moved_to(&of(content), &mut result.rgb, (None, 1.0));
    result
}

type Matrix = [[f64; 3]; 3];

fn vector(element: impl Fn(usize) -> f64) -> [f64; 3] {
    [0, 1, 2].map(element)
}

fn matrix(element: impl Fn(usize, usize) -> f64) -> Matrix {
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| element(row, column)))
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    matrix(|i, j| (0..3).map(|k| a[i][k] * b[k][j]).sum())
}

/// Mean and second moments of a picture's colours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Colours {
    mean: [f64; 3],
    squares: Matrix,
}

impl Colours {
    /// Those of a picture, 3×H×W; pixels count by their weights, H×W, or all alike.
    #[must_use]
    pub fn of(rgb: &[f32], weights: Option<&[f32]>) -> Self {
        let pixels = rgb.len() / 3;
        let (mut all, mut sum, mut squares) = (0.0, [0.0; 3], [[0.0; 3]; 3]);
        for i in 0..pixels {
            let weight = weights.map_or(1.0, |weights| f64::from(weights[i]));
            let colour = vector(|c| f64::from(rgb[c * pixels + i]));
            all += weight;
            sum = vector(|j| sum[j] + weight * colour[j]);
            squares = matrix(|j, k| squares[j][k] + weight * colour[j] * colour[k]);
        }
        // Where all is transparent there is no colour to measure.
        let all = if all > 0.0 { all } else { 1.0 };
        Colours { mean: sum.map(|sum| sum / all), squares: matrix(|j, k| squares[j][k] / all) }
    }

    /// Those of several pictures together, each with its weight.
    #[must_use]
    pub fn of_all(parts: &[(Colours, f32)]) -> Self {
        let sum: f64 = parts.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let mean = |of: &dyn Fn(&Colours) -> f64| {
            parts.iter().map(|(part, weight)| f64::from(*weight) / sum * of(part)).sum()
        };
        Colours {
            mean: vector(|j| mean(&|part| part.mean[j])),
            squares: matrix(|j, k| mean(&|part| part.squares[j][k])),
        }
    }

    fn covariance(&self) -> Matrix {
        matrix(|j, k| self.squares[j][k] - self.mean[j] * self.mean[k])
    }

    /// Moves the colours of a picture, 3×H×W, that has these, so that it has others: see [`match_colours`]. `strength`
    /// says how far, from 0 to 1, and so does a mask, H×W, at every pixel.
    pub fn moved_to(
        &self,
        other: &Colours,
        rgb: &mut [f32],
        (mask, strength): (Option<&[f32]>, f32),
    ) {
        let map = monge_kantorovich(&self.covariance(), &other.covariance());
        let pixels = rgb.len() / 3;
        for i in 0..pixels {
            let own = vector(|c| f64::from(rgb[c * pixels + i]));
            let share = f64::from(strength * mask.map_or(1.0, |mask| mask[i]));
            for (plane, row) in map.iter().enumerate() {
                let off = row.iter().zip(own).zip(self.mean);
                let moved: f64 = off.map(|((weight, own), mean)| weight * (own - mean)).sum();
                let moved = f64::from(unit((other.mean[plane] + moved) as f32));
                rgb[plane * pixels + i] = (own[plane] + share * (moved - own[plane])) as f32;
            }
        }
    }
}

/// T = A^-½ (A^½ B A^½)^½ A^-½: the symmetric map that takes covariance A to B.
fn monge_kantorovich(from: &Matrix, to: &Matrix) -> Matrix {
    let (values, vectors) = eigen(from);
    let deviations = values.map(|variance| variance.max(FLAT).sqrt());
    let root = rebuilt(deviations, &vectors);
    let inverse = rebuilt(deviations.map(f64::recip), &vectors);
    let (values, vectors) = eigen(&product(&product(&root, to), &root));
    let middle = rebuilt(values.map(|value| value.max(0.0).sqrt()), &vectors);
    product(&product(&inverse, &middle), &inverse)
}

/// V · diag(values) · Vᵀ.
fn rebuilt(values: [f64; 3], vectors: &Matrix) -> Matrix {
    matrix(|i, j| (0..3).map(|k| vectors[i][k] * values[k] * vectors[j][k]).sum())
}

/// Eigenvalues and, in columns, eigenvectors of a symmetric matrix, by Jacobi's rotations (Golub & Van Loan, "Matrix
/// Computations", section 8.5).
fn eigen(symmetric: &Matrix) -> ([f64; 3], Matrix) {
    const SWEEPS: usize = 12; // a handful would do: they converge quadratically
    let mut a = *symmetric;
    let mut vectors = matrix(|i, j| f64::from(u8::from(i == j)));
    for (p, q) in [(0, 1), (0, 2), (1, 2)].into_iter().cycle().take(3 * SWEEPS) {
        if a[p][q] == 0.0 {
            continue;
        }
        let slope = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
        let tangent = slope.signum() / (slope.abs() + slope.hypot(1.0));
        let cosine = 1.0 / tangent.hypot(1.0);
        let sine = tangent * cosine;
        let rotation = matrix(|i, j| match (i, j) {
            _ if i == j && (i == p || i == q) => cosine,
            _ if (i, j) == (p, q) => sine,
            _ if (i, j) == (q, p) => -sine,
            _ => f64::from(u8::from(i == j)),
        });
        let transposed = matrix(|i, j| rotation[j][i]);
        a = product(&product(&transposed, &a), &rotation);
        vectors = product(&vectors, &rotation);
    }
    (vector(|i| a[i][i]), vectors)
}
