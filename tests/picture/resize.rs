//! Resampling against sums by hand.

use impasto::picture::{Depth, Picture, fitted_size};
use impasto::shape::Wrap;

use super::make;

/// Lanczos with three lobes.
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| {
        if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) }
    };
    if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// sRGB's transfer curve (IEC 61966-2-1).
fn linear(code: f64) -> f64 {
    if code <= 0.04045 { code / 12.92 } else { ((code + 0.055) / 1.055).powf(2.4) }
}

/// The way back.
fn coded(light: f64) -> f64 {
    if light <= 0.0031308 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

/// One row resampled in linear light, with Pillow's weights, in f64.
fn reference(row: &[f32], to: usize) -> Vec<f64> {
    let scale = row.len() as f64 / to as f64;
    let widened = scale.max(1.0);
    let sample = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let weights = (0..row.len()).map(|j| lanczos((j as f64 + 0.5 - centre) / widened));
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().zip(row).map(|(w, s)| w * linear(f64::from(*s))).sum();
        coded((sum / weights.iter().sum::<f64>()).clamp(0.0, 1.0))
    };
    (0..to).map(sample).collect()
}

#[test]
fn rows_and_columns_match_the_reference() {
    let row: Vec<f32> = make::noise(23).into_iter().map(|s| f32::from(s) / 65535.0).collect();
    let rgb = [row.clone(), row.clone(), row.clone()].concat();
    for to in [1_u32, 2, 7, 11, 22, 24, 46, 100] {
        let expected = reference(&row, to as usize);
        let wide = Picture::from_planes((23, 1), rgb.clone(), None, Depth::Eight).unwrap();
        let tall = Picture::from_planes((1, 23), rgb.clone(), None, Depth::Eight).unwrap();
        for resized in [wide.resized(to, 1), tall.resized(1, to)] {
            assert_eq!(resized.rgb().len(), 3 * to as usize);
            for (i, sample) in resized.rgb().iter().enumerate() {
                let error = (f64::from(*sample) - expected[i % to as usize]).abs();
                assert!(error < 4e-6, "{to} {i}: {error}");
            }
        }
    }
}

#[test]
fn known_values() {
    // Halving a step edge between pixels of its own: the taps left of the edge sum to one half.
    let rgb = [[0.0_f32; 8], [1.0; 8]].concat().repeat(3);
    let step = Picture::from_planes((16, 1), rgb, None, Depth::Eight).unwrap();
    let sum: f64 = step.resized(8, 1).rgb()[..8].iter().map(|&s| linear(s.into())).sum();
    assert!((sum - 4.0).abs() < 0.05, "{sum}");
    // The finest stripes there are, shrunk by four: grey of half the light, not stripes again.
    let rgb: Vec<f32> = (0..3 * 64).map(|i| (i % 2) as f32).collect();
    let stripes = Picture::from_planes((64, 1), rgb, None, Depth::Eight).unwrap();
    for sample in &stripes.resized(16, 1).rgb()[2..14] {
        assert!((sample - 0.735).abs() < 0.01, "{sample}");
    }
}

#[test]
fn a_checkerboard_shrinks_to_half_its_light() {
    let board: Vec<f32> = (0..64 * 64).map(|i| ((i / 64 + i % 64) % 2) as f32).collect();
    let board = Picture::from_planes((64, 64), board.repeat(3), None, Depth::Eight).unwrap();
    for (size, margin) in [(32, 2), (16, 2), (8, 1)] {
        let small = board.resized(size, size);
        let inside = |i: &usize| {
            let within = |at: usize| (margin..size as usize - margin).contains(&at);
            within(i % size as usize) && within(i / size as usize)
        };
        for i in (0..(size * size) as usize).filter(inside) {
            // sRGB's code of 0.5: on coded values it would be 0.5 itself.
            assert!((small.rgb()[i] - 0.7354).abs() < 0.004, "{size} {i}: {}", small.rgb()[i]);
        }
    }
}

#[test]
fn a_constant_stays_constant() {
    for alpha in [None, Some(0.25)] {
        let picture = make::constant((31, 17), [0.1, 0.5, 1.0], alpha);
        for (w, h) in [(1, 1), (7, 40), (62, 34), (200, 3)] {
            let resized = picture.resized(w, h);
            assert_eq!(resized.size(), (w, h));
            for (plane, expected) in resized.rgb().chunks((w * h) as usize).zip([0.1, 0.5, 1.0]) {
                assert!(plane.iter().all(|c| (c - expected).abs() < 1e-5));
            }
            let off = |a: &f32| (a - 0.25).abs() > 1e-6;
            assert!(!resized.alpha().is_some_and(|alpha| alpha.iter().any(off)));
        }
    }
}

#[test]
fn the_same_size_is_the_same_picture() {
    let picture = make::picture((19, 11), true, Depth::Sixteen);
    assert_eq!(picture.resized(19, 11), picture);
    assert_eq!(picture.fitted(19), picture);
    assert_eq!(picture.resized(0, 0).size(), (1, 1));
}

#[test]
fn samples_stay_in_range() {
    let picture = make::picture((33, 21), true, Depth::Eight).resized(77, 50);
    let mut samples = picture.rgb().iter().chain(picture.alpha().unwrap());
    assert!(samples.all(|s| (0.0..=1.0).contains(s)));
    assert_eq!(picture.depth(), Depth::Eight);
}

#[test]
fn transparent_black_leaves_no_fringe() {
    // White on the left, on the right transparent black: the white must not darken at the edge.
    let (w, h) = (32_usize, 8_usize);
    let left: Vec<f32> = (0..w * h).map(|i| f32::from(u8::from(i % w < w / 2))).collect();
    let rgb = [left.clone(), left.clone(), left.clone()].concat();
    let picture = Picture::from_planes((32, 8), rgb, Some(left), Depth::Eight).unwrap();
    for (to_w, to_h) in [(11, 3), (50, 13)] {
        let resized = picture.resized(to_w, to_h);
        let pixels = (to_w * to_h) as usize;
        for (i, &alpha) in resized.alpha().unwrap().iter().enumerate() {
            for colour in [0, 1, 2].map(|plane| resized.rgb()[plane * pixels + i]) {
                assert!(colour.is_finite());
                assert!(alpha < 0.01 || (colour - 1.0).abs() < 1e-3, "{colour} at {alpha}");
            }
        }
    }
}

#[test]
fn fitted_sizes() {
    for (size, long, expected) in [
        ((4000, 3000), 1000, (1000, 750)),
        ((3000, 4000), 1000, (750, 1000)),
        ((100, 50), 1000, (1000, 500)),
        ((512, 512), 512, (512, 512)),
        ((1000, 667), 512, (512, 342)), // 341.504
        ((1000, 666), 512, (512, 341)), // 340.992
        ((4, 1), 2, (2, 1)),            // 0.5
        ((30_000, 1), 100, (100, 1)),   // 0.003
        ((1, 1), 1, (1, 1)),
        ((7, 5), 0, (1, 1)),
        ((u32::MAX, 1), u32::MAX, (u32::MAX, 1)),
        ((u32::MAX, u32::MAX), 9, (9, 9)),
    ] {
        assert_eq!(fitted_size(size, long), expected, "{size:?} to {long}");
    }
}

/// The planes of a picture of that size, beginning elsewhere.
fn rolled(picture: &Picture, (right, down): (usize, usize)) -> Picture {
    let (w, h) = (picture.width() as usize, picture.height() as usize);
    let from = |i: usize| {
        let (x, y) = ((i % w + right) % w, (i / w % h + down) % h);
        picture.rgb()[i / w / h * w * h + y * w + x]
    };
    let rgb = (0..3 * w * h).map(from).collect();
    Picture::from_planes(picture.size(), rgb, None, Depth::Eight).unwrap()
}

#[test]
fn where_edges_meet_it_does_not_matter_where_a_picture_begins() {
    let picture = rolled(&make::picture((24, 32), false, Depth::Eight), (0, 0));
    let apart = |a: &Picture, b: &Picture| {
        a.rgb().iter().zip(b.rgb()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    // From 24×32 px: 6 and 8 of them are so many of the other size. Some are so small that a window goes around.
    for (size, step) in [((12, 16), (3, 4)), ((36, 40), (9, 10)), ((4, 4), (1, 1))] {
        let resized = |picture: &Picture, wrap| picture.resized_around(size.0, size.1, wrap);
        for (wrap, by) in [(Wrap::X, (1, 0)), (Wrap::Y, (0, 1)), (Wrap::Both, (1, 1))] {
            let first = resized(&rolled(&picture, (6 * by.0, 8 * by.1)), wrap);
            let then = rolled(&resized(&picture, wrap), (step.0 * by.0, step.1 * by.1));
            assert!(apart(&first, &then) < 1e-5, "{size:?} {wrap}: {}", apart(&first, &then));
            assert!(apart(&resized(&picture, wrap), &resized(&picture, Wrap::None)) > 1e-3);
        }
    }
}

#[test]
fn edges_that_do_not_meet_are_joined() {
    let ramp = |x: usize, y: usize| 0.1 + 0.8 * (x as f32 / 40.0 + y as f32 / 30.0) / 2.0;
    let rgb = (0..3 * 40 * 30).map(|i| ramp(i % 40, i / 40 % 30)).collect();
    let ramp = Picture::from_planes((40, 30), rgb, None, Depth::Eight).unwrap();
    let at = |picture: &Picture, x: usize, y: usize| picture.rgb()[40 * y + x];
    let steps = |picture: &Picture| {
        [at(picture, 0, 15) - at(picture, 39, 15), at(picture, 20, 0) - at(picture, 20, 29)]
            .map(f32::abs)
    };
    let [across, down] = steps(&ramp);
    assert!(across > 0.3 && down > 0.3);
    let joined = ramp.clone().joined(Wrap::Both);
    assert!(steps(&joined).iter().all(|step| *step < 0.02), "{:?}", steps(&joined));
    // Beyond an eighth of the side nothing changes.
    assert_eq!(at(&joined, 20, 15), at(&ramp, 20, 15));
    assert_eq!(at(&joined, 5, 15), at(&ramp, 5, 15));
    let [across_x, down_x] = steps(&ramp.clone().joined(Wrap::X));
    assert!(across_x < 0.02 && down_x == down);
    assert_eq!(ramp.clone().joined(Wrap::None), ramp);
    // What tiles already stays as it is.
    let wave = |i: usize| 0.5 + 0.3 * (i as f32 % 40.0 * std::f32::consts::TAU / 40.0).sin();
    let rgb = (0..3 * 40 * 30).map(wave).collect();
    let wave = Picture::from_planes((40, 30), rgb, None, Depth::Eight).unwrap();
    assert_eq!(wave.clone().joined(Wrap::Both), wave);
}
