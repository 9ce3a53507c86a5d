//! sRGB's transfer curve (IEC 61966-2-1), from coded values to linear light and back, by tables: a large photograph
//! has hundreds of millions of samples.

use std::sync::LazyLock;

/// A curve over 0..=1: its values at equal distances, with lines between them.
struct Curve(Vec<f32>);

/// 4096 lines stay within 1e-7 of the curve.
static TO_LINEAR: LazyLock<Curve> = LazyLock::new(|| Curve::new(1 << 12, decode));
/// 65,536 lines stay within 6e-7 of it, a 25th of a step of 16 bits, at the kink where it leaves the dark's straight
/// line.
static TO_CODE: LazyLock<Curve> = LazyLock::new(|| Curve::new(1 << 16, encode));

/// From coded values, clamped to 0..=1, to linear light.
pub(super) fn to_linear(code: f32) -> f32 {
    TO_LINEAR.at(code)
}

/// From linear light, clamped to 0..=1, to coded values.
pub(super) fn to_code(light: f32) -> f32 {
    TO_CODE.at(light)
}

impl Curve {
    fn new(lines: u32, curve: fn(f64) -> f64) -> Self {
        let value = |i| curve(f64::from(i) / f64::from(lines)) as f32;
        Curve((0..=lines).map(value).collect())
    }

    fn at(&self, x: f32) -> f32 {
        let lines = self.0.len() - 1;
        let x = unit(x) * lines as f32;
        let line = (x as usize).min(lines - 1);
        let (from, to) = (self.0[line], self.0[line + 1]);
        from + (to - from) * (x - line as f32)
    }
}

fn decode(code: f64) -> f64 {
    if code <= 0.04045 { code / 12.92 } else { ((code + 0.055) / 1.055).powf(2.4) }
}

fn encode(light: f64) -> f64 {
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

/// Clamps to 0..=1; NaN becomes 0.
pub(super) fn unit(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_follow_the_curve() {
        for i in 0..=100_000 {
            let x = i as f32 / 100_000.0;
            let (linear, code) = (decode(x.into()), encode(x.into()));
            assert!((f64::from(to_linear(x)) - linear).abs() < 1e-7, "{x}");
            assert!((f64::from(to_code(x)) - code).abs() < 6e-7, "{x}");
            assert!((to_code(to_linear(x)) - x).abs() < 1e-6, "{x}");
        }
        assert_eq!([-1.0, 0.0, 1.0, 2.0, f32::NAN].map(to_code), [0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!([-1.0, 0.0, 1.0, 2.0, f32::NAN].map(to_linear), [0.0, 0.0, 1.0, 1.0, 0.0]);
    }
}
