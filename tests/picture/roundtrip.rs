//! What goes in comes out: every format and kind of sample, orientation, alpha.

use std::path::Path;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use impasto::picture::{Depth, Format, Picture, probe};
use impasto::{Error, picture};

use super::make;

const SIZE: (u32, u32) = (13, 7);
const PIXELS: usize = 13 * 7;

fn buffer<P: image::Pixel>(samples: Vec<P::Subpixel>) -> ImageBuffer<P, Vec<P::Subpixel>> {
    ImageBuffer::from_raw(SIZE.0, SIZE.1, samples).unwrap()
}

/// Decodes `bytes`, encodes the result losslessly, and has `image` decode that.
fn through(bytes: &[u8], format: Format) -> DynamicImage {
    let picture = Picture::decode(bytes, "p").unwrap();
    assert_eq!(probe(bytes, "p").unwrap(), picture.size());
    image::load_from_memory(&picture.encode(format).unwrap()).unwrap()
}

#[test]
fn eight_bit_samples_survive_exactly() {
    let images: [DynamicImage; 4] = [
        buffer::<Luma<u8>>(make::noise8(PIXELS)).into(),
        buffer::<LumaA<u8>>(make::noise8(2 * PIXELS)).into(),
        buffer::<Rgb<u8>>(make::noise8(3 * PIXELS)).into(),
        buffer::<Rgba<u8>>(make::noise8(4 * PIXELS)).into(),
    ];
    for image in &images {
        let grey = image.color().channel_count() < 3;
        for from in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Bmp] {
            // `image` writes no such TIFF and WebP, and its BMP of LumaA loses the alpha.
            let alpha = image.color().has_alpha();
            if grey && (from == ImageFormat::WebP || alpha) && from != ImageFormat::Png {
                continue;
            }
            let bytes = make::file(image.clone(), from);
            let expected = image::load_from_memory(&bytes).unwrap();
            for to in [Format::Png, Format::WebP, Format::Tiff] {
                let result = through(&bytes, to);
                assert_eq!(result.to_rgba8(), expected.to_rgba8(), "{from:?} to {to:?}");
                assert_eq!(result.color().has_alpha(), expected.color().has_alpha());
                assert_eq!(result.color().bytes_per_pixel() / result.color().channel_count(), 1);
            }
        }
    }
}

#[test]
fn sixteen_bit_samples_survive_exactly() {
    let images: [DynamicImage; 4] = [
        buffer::<Luma<u16>>(make::noise(PIXELS)).into(),
        buffer::<LumaA<u16>>(make::noise(2 * PIXELS)).into(),
        buffer::<Rgb<u16>>(make::noise(3 * PIXELS)).into(),
        buffer::<Rgba<u16>>(make::noise(4 * PIXELS)).into(),
    ];
    for image in &images {
        let grey_alpha = image.color() == image::ColorType::La16;
        for from in [ImageFormat::Png, ImageFormat::Tiff] {
            if grey_alpha && from == ImageFormat::Tiff {
                continue; // `image` does not write it
            }
            let bytes = make::file(image.clone(), from);
            assert_eq!(Picture::decode(&bytes, "p").unwrap().depth(), Depth::Sixteen);
            for to in [Format::Png, Format::Tiff] {
                assert_eq!(through(&bytes, to).to_rgba16(), image.to_rgba16());
            }
            assert_eq!(through(&bytes, Format::WebP).to_rgba8().dimensions(), SIZE);
        }
    }
}

#[test]
fn every_sample_value_survives() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let image = ImageBuffer::<Luma<u16>, _>::from_raw(256, 256, all).unwrap();
    let bytes = make::file(image.clone(), ImageFormat::Png);
    assert_eq!(through(&bytes, Format::Tiff).to_luma16(), image);
}

#[test]
fn a_gradient_finer_than_8_bits_stays_fine() {
    // From 0.2 to 0.25 there are a dozen steps of 8 bits.
    let sample = |x: u32| (65535.0 * (0.2 + 0.05 * f64::from(x) / 999.0)).round() as u16;
    let image = ImageBuffer::from_fn(1000, 8, |x, _| Rgb([sample(x); 3]));
    for (from, to) in [(ImageFormat::Png, Format::Tiff), (ImageFormat::Tiff, Format::Png)] {
        let picture = Picture::decode(&make::file(image.clone(), from), "p").unwrap();
        let small = picture.resized(500, 4).encode(to).unwrap();
        let result = image::load_from_memory(&small).unwrap();
        assert_eq!(result.color(), image::ColorType::Rgb16);
        let row: Vec<u16> = result.to_luma16().into_raw()[..500].to_vec();
        assert!(row.windows(2).all(|pair| pair[0] < pair[1]), "{from:?}: {row:?}");
        for (x, found) in row.iter().enumerate().skip(3).take(494) {
            let expected = 65535.0 * (0.2 + 0.05 * (2.0 * x as f64 + 0.5) / 999.0);
            assert!((f64::from(*found) - expected).abs() < 2.0, "{from:?} {x}: {found}");
        }
    }
}

#[test]
fn palettes_and_few_bits() {
    use png::{BitDepth, ColorType};
    let palette: &[u8] = &[255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7];
    let bytes = make::png(
        (4, 1),
        (ColorType::Indexed, BitDepth::Two),
        Some((palette, &[255, 128])),
        &[0b00_01_10_11],
    );
    let result = through(&bytes, Format::Png).to_rgba8();
    let expected = [255, 0, 0, 255, 0, 255, 0, 128, 0, 0, 255, 255, 9, 8, 7, 255];
    assert_eq!(result.into_raw(), expected);
    let bytes = make::png((8, 1), (ColorType::Grayscale, BitDepth::One), None, &[0b1010_0110]);
    let result = through(&bytes, Format::Png).to_luma8();
    assert_eq!(result.into_raw(), [255, 0, 255, 0, 0, 255, 255, 0]);
}

#[test]
fn gif_and_run_length_bmp() {
    let image = buffer::<Rgba<u8>>((0..PIXELS).flat_map(|i| [i as u8, 0, 90, 255]).collect());
    let picture = Picture::decode(&make::file(image.clone(), ImageFormat::Gif), "p").unwrap();
    assert_eq!(picture.alpha(), None);
    let red: Vec<u8> = picture.rgb()[..PIXELS].iter().map(|c| (c * 255.0).round() as u8).collect();
    assert_eq!(red, image.pixels().map(|p| p.0[0]).collect::<Vec<_>>());
    let bytes = make::bmp_rle8(3, &[&[(3, 7)], &[(1, 5), (2, 250)]]);
    let result = through(&bytes, Format::Png).to_luma8();
    assert_eq!(result.into_raw(), [5, 250, 250, 7, 7, 7]);
}

#[test]
fn unusual_tiffs() {
    // Floats: clamped, not a number is black.
    let floats = [-1.0, 0.25, 2.0, f32::NAN, 1.0, 0.5];
    let image = ImageBuffer::<Rgb<f32>, _>::from_raw(2, 1, floats.to_vec()).unwrap();
    let picture = Picture::decode(&make::file(image, ImageFormat::Tiff), "p").unwrap();
    assert_eq!(picture.rgb(), [0.0, 0.0, 0.25, 1.0, 1.0, 0.5]);
    assert_eq!(picture.depth(), Depth::Sixteen);
    // White is zero.
    let mut entries = make::grey_tiff(3, 1);
    entries[4] = (262, 0);
    let picture = Picture::decode(&make::tiff(&entries, &[0, 55, 255]), "p").unwrap();
    assert_eq!(picture.encode(Format::Png).unwrap(), {
        let white_first = make::tiff(&make::grey_tiff(3, 1), &[255, 200, 0]);
        Picture::decode(&white_first, "p").unwrap().encode(Format::Png).unwrap()
    });
}

#[test]
fn tiff_says_that_its_alpha_is_straight() {
    let picture = make::picture(SIZE, true, Depth::Eight);
    let bytes = picture.encode(Format::Tiff).unwrap();
    let extra_samples_of_2 = [0x52, 0x01, 3, 0, 1, 0, 0, 0, 2, 0];
    assert!(bytes.windows(10).any(|w| w == extra_samples_of_2));
    assert_eq!(Picture::decode(&bytes, "p").unwrap(), picture);
    // The same file, but with its colours said to be multiplied by alpha.
    let at = bytes.windows(10).position(|w| w == extra_samples_of_2).unwrap();
    let mut premultiplied = bytes.clone();
    premultiplied[at + 8] = 1;
    let straight = Picture::decode(&premultiplied, "p").unwrap();
    let alpha = picture.alpha().unwrap()[0];
    assert_eq!(straight.rgb()[0], (picture.rgb()[0] / alpha).min(1.0));
}

#[test]
fn jpeg_comes_close() {
    for progressive in [false, true] {
        for (colour, channels) in
            [(jpeg_encoder::ColorType::Luma, 1), (jpeg_encoder::ColorType::Rgb, 3)]
        {
            let samples = vec![200; PIXELS * channels];
            let bytes = make::jpeg((13, 7), colour, &samples, progressive, None);
            let picture = Picture::decode(&bytes, "p").unwrap();
            assert_eq!((picture.size(), picture.depth()), (SIZE, Depth::Eight));
            assert!(picture.rgb().iter().all(|c| (c * 255.0 - 200.0).abs() < 2.0));
        }
    }
    // Full colour resolution: a red pixel does not stain its green neighbours.
    let stripes: Vec<f32> = [0, 1, 2]
        .iter()
        .flat_map(|&c| (0..256).map(move |i| f32::from(u8::from(i % 2 == c))))
        .collect();
    let picture = Picture::from_planes((16, 16), stripes, None, Depth::Eight).unwrap();
    let back = Picture::decode(&picture.encode(Format::Jpeg).unwrap(), "p").unwrap();
    let worst = back.rgb().iter().zip(picture.rgb()).map(|(a, b)| (a - b).abs());
    assert!(worst.fold(0.0, f32::max) < 0.06);
}

#[test]
fn jpeg_lays_transparency_over_white() {
    let picture = make::constant((8, 8), [1.0, 0.0, 0.0], Some(0.5));
    let back = Picture::decode(&picture.encode(Format::Jpeg).unwrap(), "p").unwrap();
    for (c, expected) in back.rgb().chunks(64).zip([1.0, 0.5, 0.5]) {
        assert!((c[0] - expected).abs() < 0.02, "{} {expected}", c[0]);
    }
}

#[test]
fn opaque_alpha_is_dropped_and_other_alpha_kept() {
    let mut image = image::RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 255]));
    let decode = |image: &image::RgbaImage| {
        Picture::decode(&make::file(image.clone(), ImageFormat::Png), "p").unwrap()
    };
    assert_eq!(decode(&image).alpha(), None);
    image.put_pixel(2, 1, Rgba([1, 2, 3, 0]));
    assert_eq!(decode(&image).alpha().unwrap(), [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
}

#[test]
fn encoding_is_deterministic() {
    let picture = make::picture((40, 30), true, Depth::Sixteen);
    for format in [Format::Png, Format::Jpeg, Format::WebP, Format::Tiff] {
        assert_eq!(picture.encode(format).unwrap(), picture.encode(format).unwrap());
    }
}

#[test]
fn one_pixel() {
    let picture = make::constant((1, 1), [0.2, 0.4, 0.6], None);
    for format in [Format::Png, Format::Jpeg, Format::WebP, Format::Tiff] {
        let back = Picture::decode(&picture.encode(format).unwrap(), "p").unwrap();
        assert_eq!(back.size(), (1, 1));
        assert_eq!(back.fitted(5).size(), (5, 5));
    }
}

/// Where the upright pixel (x, y) of a `w`×`h` upright picture is stored, by EXIF orientation.
fn stored(orientation: u8, (x, y): (u32, u32), (w, h): (u32, u32)) -> (u32, u32) {
    match orientation {
        1 => (x, y),
        2 => (w - 1 - x, y),
        3 => (w - 1 - x, h - 1 - y),
        4 => (x, h - 1 - y),
        5 => (y, x),
        6 => (y, w - 1 - x),
        7 => (h - 1 - y, w - 1 - x),
        _ => (h - 1 - y, x),
    }
}

#[test]
fn orientation_is_applied() {
    // An upright picture of 4 × 3 blocks, each 16 pixels and of its own grey.
    let (w, h) = (64, 48);
    let grey = |x: u32, y: u32| (20 * (x / 16 + 4 * (y / 16))) as u8;
    for orientation in 1..=8 {
        let size = if orientation < 5 { (w, h) } else { (h, w) };
        let mut image = image::GrayImage::new(size.0, size.1);
        for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
            let (sx, sy) = stored(orientation, (x, y), (w, h));
            image.put_pixel(sx, sy, Luma([grey(x, y)]));
        }
        let exif = make::exif(orientation);
        let png = make::file(image.clone(), ImageFormat::Png);
        let samples = image.into_raw();
        let mut entries = make::grey_tiff(size.0, size.1);
        entries.push((274, orientation.into()));
        let files = [
            make::with_chunk(&png, b"IDAT", b"eXIf", &exif),
            make::with_chunk(&png, b"IEND", b"eXIf", &exif),
            make::jpeg(
                (size.0 as u16, size.1 as u16),
                jpeg_encoder::ColorType::Luma,
                &samples,
                false,
                Some(&exif),
            ),
            make::tiff(&entries, &samples),
        ];
        for (i, bytes) in files.iter().enumerate() {
            assert_eq!(probe(bytes, "p").unwrap(), (w, h), "{orientation} {i}");
            let picture = Picture::decode(bytes, "p").unwrap();
            assert_eq!(picture.size(), (w, h));
            for (x, y) in (0..h).flat_map(|y| (0..w).map(move |x| (x, y))) {
                let sample = picture.rgb()[(y * w + x) as usize] * 255.0;
                assert!((sample - f32::from(grey(x, y))).abs() < 6.0, "{orientation} {i} {x} {y}");
            }
            // Nothing is left that would turn the result again.
            let again = picture.encode(Format::Png).unwrap();
            assert_eq!(Picture::decode(&again, "p").unwrap(), picture);
        }
    }
}

#[test]
fn format_by_extension() {
    for (name, format) in [
        ("a.png", Format::Png),
        ("a.b.JPG", Format::Jpeg),
        ("x/a.Jpeg", Format::Jpeg),
        ("a.webp", Format::WebP),
        ("a.tif", Format::Tiff),
        ("a.TIFF", Format::Tiff),
    ] {
        assert_eq!(Format::from_path(Path::new(name)).unwrap(), format);
    }
    for (name, word) in [("a.bmp", ".bmp"), ("a", "no extension"), (".png", "no extension")] {
        let error = Format::from_path(Path::new(name)).unwrap_err();
        assert!(matches!(error, Error::Usage(_)));
        let line = error.to_string();
        assert!(line.contains(word) && line.contains("-o") && line.contains(".webp"), "{line}");
    }
}

#[test]
fn formats_have_a_longest_side() {
    for format in [Format::Jpeg, Format::WebP] {
        let long = make::constant((format.max_side() + 1, 1), [0.5; 3], None);
        let line = long.encode(format).unwrap_err().to_string();
        assert!(line.contains(&format.max_side().to_string()) && line.contains(".png"), "{line}");
        assert!(long.encode(Format::Png).is_ok());
    }
    let longest = make::constant((Format::WebP.max_side(), 1), [0.5; 3], None);
    assert!(longest.encode(Format::WebP).is_ok());
}

#[test]
fn planes_must_fit_the_size() {
    for (size, rgb, alpha) in [((2, 2), 11, None), ((2, 2), 12, Some(3)), ((0, 2), 0, None)] {
        let alpha: Option<usize> = alpha;
        let alpha = alpha.map(|n| vec![0.0; n]);
        let error = Picture::from_planes(size, vec![0.0; rgb], alpha, Depth::Eight).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }));
    }
    assert_eq!(picture::fitted_size((2, 2), 2), (2, 2));
}
