//! Colour spaces, and what keeps colours.

use impasto::picture::{Depth, Metadata, Picture, match_colours};
use moxcms::ColorProfile;

use super::make;

fn in_space(picture: Picture, profile: Option<ColorProfile>) -> Picture {
    let icc = profile.map(|profile| profile.encode().unwrap());
    picture.with_metadata(Metadata { icc, ..Metadata::default() })
}

fn pixels(rgb: &[[f32; 3]]) -> Picture {
    let planes = (0..3).flat_map(|plane| rgb.iter().map(move |pixel| pixel[plane])).collect();
    Picture::from_planes((rgb.len() as u32, 1), planes, None, Depth::Sixteen).unwrap()
}

fn pixel(picture: &Picture, i: usize) -> [f32; 3] {
    let count = (picture.width() * picture.height()) as usize;
    [0, 1, 2].map(|plane| picture.rgb()[plane * count + i])
}

fn assert_close(found: [f32; 3], expected: [f32; 3], within: f32) {
    let off = found.iter().zip(expected).any(|(f, e)| (f - e).abs() > within);
    assert!(!off, "{found:?} is not {expected:?}");
}

#[test]
fn colours_are_converted_between_spaces() {
    let srgb = pixels(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.5, 0.9], [0.5; 3], [1.0; 3]]);
    let p3 = in_space(pixels(&[[0.0; 3]]), Some(ColorProfile::new_display_p3()));
    let converted = srgb.clone().into_space_of(&p3);
    assert_eq!(converted.metadata().icc, p3.metadata().icc);
    // By both spaces' primaries, in f64.
    let expected =
        [[0.91749, 0.20029, 0.13856], [0.45842, 0.98526, 0.29831], [0.28327, 0.49346, 0.87194]];
    for (i, expected) in expected.into_iter().enumerate() {
        assert_close(pixel(&converted, i), expected, 1e-3);
    }
    assert_close(pixel(&converted, 3), [0.5; 3], 1e-4);
    assert_close(pixel(&converted, 4), [1.0; 3], 1e-4);
    // And back, from a profile to none.
    let back = converted.into_space_of(&srgb);
    assert_eq!(back.metadata().icc, None);
    for i in 0..5 {
        // A profile's matrix is rounded to 16 bits, which shows where the curve is steep.
        assert_close(pixel(&back, i), pixel(&srgb, i), 2e-3);
    }
    // What sRGB does not have is clipped.
    let wide = in_space(pixels(&[[0.0, 1.0, 0.0]]), Some(ColorProfile::new_display_p3()));
    let narrow = wide.into_space_of(&srgb);
    let [red, green, blue] = pixel(&narrow, 0);
    assert!(red == 0.0 && green == 1.0 && (0.0..0.1).contains(&blue), "{:?}", narrow.rgb());
}

#[test]
fn the_same_space_changes_nothing() {
    let picture = make::picture((19, 11), true, Depth::Eight);
    assert_eq!(picture.clone().into_space_of(&picture), picture);
    let p3 = in_space(picture, Some(ColorProfile::new_display_p3()));
    assert_eq!(p3.clone().into_space_of(&p3), p3);
}

#[test]
fn a_large_picture_is_converted_whole() {
    let grey = make::constant((300, 200), [0.25, 0.25, 0.25], Some(0.5));
    let p3 = in_space(make::constant((1, 1), [0.0; 3], None), Some(ColorProfile::new_bt2020()));
    let converted = grey.clone().into_space_of(&p3);
    assert_eq!((converted.size(), converted.alpha()), (grey.size(), grey.alpha()));
    assert!(converted.rgb().iter().all(|c| (c - converted.rgb()[0]).abs() < 1e-3));
    assert!((converted.rgb()[0] - 0.25).abs() > 5e-3); // its curve is another one
}

#[test]
fn profiles_that_cannot_be_used_count_as_srgb() {
    let picture = make::picture((5, 4), false, Depth::Eight);
    let mut damaged = ColorProfile::new_display_p3().encode().unwrap();
    damaged.truncate(200);
    let grey = ColorProfile::new_gray_with_gamma(2.2).encode().unwrap();
    for icc in [damaged, grey, b"nonsense".to_vec()] {
        let metadata = Metadata { icc: Some(icc), ..Metadata::default() };
        let odd = picture.clone().with_metadata(metadata);
        assert_eq!(odd.into_space_of(&picture), picture);
    }
}

fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[test]
fn luma_comes_from_the_one_and_chroma_from_the_other() {
    let colours = make::picture((40, 30), true, Depth::Sixteen);
    let light = make::picture((47, 30), false, Depth::Eight).resized(40, 30);
    let result = colours.with_luma_of(&light);
    assert_eq!(result.alpha(), colours.alpha());
    assert_eq!(result.depth(), colours.depth());
    let mut whole = 0;
    for i in 0..40 * 30 {
        let [found, colour, from] = [&result, &colours, &light].map(|p| pixel(p, i));
        assert!(found.iter().all(|sample| (0.0..=1.0).contains(sample)));
        assert!((luma(found) - luma(from)).abs() < 1e-5);
        // Chroma keeps its direction; it is shorter only where a channel stands at its limit.
        let chroma = |colour: [f32; 3]| colour.map(|sample| sample - luma(colour));
        let (before, after) = (chroma(colour), chroma(found));
        let norm = |v: [f32; 3]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
        let share = norm(after) / norm(before);
        assert_close(after, before.map(|c| share * c), 1e-4);
        let at_limit = found.iter().any(|&sample| !(1e-5..=1.0 - 1e-5).contains(&sample));
        assert!(share < 1.0 + 1e-4 && (at_limit || share > 1.0 - 1e-4), "{share}");
        whole += u32::from(!at_limit);
    }
    assert!((100..1100).contains(&whole), "{whole}");
}

#[test]
fn luma_of_itself_and_of_another_size() {
    let picture = make::picture((20, 10), false, Depth::Eight);
    let same = picture.with_luma_of(&picture);
    assert!(same.rgb().iter().zip(picture.rgb()).all(|(a, b)| (a - b).abs() < 1e-6));
    let grey = make::constant((5, 5), [0.5; 3], None);
    let flat = picture.with_luma_of(&grey);
    assert_eq!(flat.size(), picture.size());
    assert!((0..200).all(|i| (luma(pixel(&flat, i)) - 0.5).abs() < 1e-5));
}

#[test]
fn grey_colours_give_grey() {
    let grey = make::constant((20, 10), [0.3; 3], None);
    let painting = make::picture((20, 10), false, Depth::Eight);
    let result = grey.with_luma_of(&painting);
    for i in 0..200 {
        assert_close(pixel(&result, i), [luma(pixel(&painting, i)); 3], 1e-6);
    }
}

/// Mean and covariance of colours, weighted by alpha.
fn moments(picture: &Picture) -> ([f64; 3], [[f64; 3]; 3]) {
    let pixels = (picture.width() * picture.height()) as usize;
    let weight = |i: usize| picture.alpha().map_or(1.0, |alpha| f64::from(alpha[i]));
    let all: f64 = (0..pixels).map(weight).sum();
    let sample = |i: usize, c: usize| f64::from(pixel(picture, i)[c]);
    let mean = [0, 1, 2].map(|c| (0..pixels).map(|i| weight(i) * sample(i, c)).sum::<f64>() / all);
    let covariance = [0, 1, 2].map(|a| {
        [0, 1, 2].map(|b| {
            let off = |i: usize, c: usize| sample(i, c) - mean[c];
            (0..pixels).map(|i| weight(i) * off(i, a) * off(i, b)).sum::<f64>() / all
        })
    });
    (mean, covariance)
}

/// Noise of three channels, mixed so that they go together, around a mean.
fn mixed(size: (u32, u32), mean: [f32; 3], mix: [[f32; 3]; 3], alpha: bool) -> Picture {
    let noise = make::picture(size, alpha, Depth::Sixteen);
    let pixels: Vec<[f32; 3]> = (0..(size.0 * size.1) as usize)
        .map(|i| {
            let off = pixel(&noise, i).map(|sample| sample - 0.5);
            [0, 1, 2].map(|c| mean[c] + (0..3).map(|k| mix[c][k] * off[k]).sum::<f32>())
        })
        .collect();
    let planes = (0..3).flat_map(|plane| pixels.iter().map(move |pixel| pixel[plane])).collect();
    let alpha = noise.alpha().map(<[f32]>::to_vec);
    Picture::from_planes(size, planes, alpha, Depth::Sixteen).unwrap()
}

#[test]
fn matched_colours_have_the_contents_moments() {
    let content_mix = [[0.3, 0.1, 0.0], [0.1, 0.2, 0.05], [0.0, 0.0, 0.1]];
    let content = mixed((50, 40), [0.5, 0.4, 0.6], content_mix, true);
    let style_mix = [[0.2, 0.0, 0.2], [0.0, 0.3, 0.0], [0.1, 0.1, 0.2]];
    let style = mixed((37, 41), [0.4, 0.6, 0.5], style_mix, false);
    let matched = match_colours(&style, &content);
    assert_eq!((matched.size(), matched.depth()), (style.size(), style.depth()));
    // Nothing had to be clipped, or the moments would not be met.
    assert!(matched.rgb().iter().all(|sample| *sample > 0.0 && *sample < 1.0));
    let ((mean, covariance), (to_mean, to_covariance)) = (moments(&matched), moments(&content));
    let far = |a: f64, b: f64| (a - b).abs() > 1e-6;
    assert!(!mean.iter().zip(to_mean).any(|(a, b)| far(*a, b)), "{mean:?} {to_mean:?}");
    for (a, b) in covariance.as_flattened().iter().zip(to_covariance.as_flattened()) {
        assert!(!far(*a, *b), "{covariance:?} is not {to_covariance:?}");
    }
    // The map that moves least moves nothing where there is nothing to do.
    let same = match_colours(&style, &style);
    assert!(same.rgb().iter().zip(style.rgb()).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn flat_and_grey_pictures_can_be_matched() {
    let style = make::picture((30, 20), false, Depth::Eight);
    let grey_noise = style.rgb()[..600].repeat(3);
    let grey = Picture::from_planes((30, 20), grey_noise, None, Depth::Eight).unwrap();
    let flat = make::constant((7, 5), [0.2, 0.4, 0.6], None);
    let unseen = make::constant((7, 5), [0.2, 0.4, 0.6], Some(0.0));
    for from in [&style, &grey, &flat, &unseen] {
        for to in [&style, &grey, &flat, &unseen] {
            let matched = match_colours(from, to);
            assert!(matched.rgb().iter().all(|sample| (0.0..=1.0).contains(sample)));
        }
    }
    let found = match_colours(&style, &grey);
    for i in 0..600 {
        let [red, green, blue] = pixel(&found, i);
        assert!((red - green).abs() < 1e-4 && (green - blue).abs() < 1e-4);
    }
    assert_close(pixel(&match_colours(&style, &flat), 3), [0.2, 0.4, 0.6], 1e-6);
    assert_close(
        pixel(&match_colours(&flat, &style), 3),
        moments(&style).0.map(|m| m as f32),
        1e-5,
    );
}
