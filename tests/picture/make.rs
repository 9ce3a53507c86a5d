//! Pictures to test with, by code.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use impasto::picture::{Depth, Picture};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Noise that is the same every time, and that no encoder can squeeze much.
pub fn noise(len: usize) -> Vec<u16> {
    let mut state = 1_u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u16
    };
    (0..len).map(step).collect()
}

pub fn noise8(len: usize) -> Vec<u8> {
    noise(len).into_iter().map(|s| (s >> 8) as u8).collect()
}

/// Noise as a picture.
pub fn picture(size: (u32, u32), alpha: bool, depth: Depth) -> Picture {
    let pixels = (size.0 * size.1) as usize;
    let unit = |s: u16| match depth {
        Depth::Eight => f32::from(s >> 8) / 255.0,
        Depth::Sixteen => f32::from(s) / 65535.0,
    };
    let mut rgb: Vec<f32> = noise(4 * pixels).into_iter().map(unit).collect();
    let plane = rgb.split_off(3 * pixels);
    Picture::from_planes(size, rgb, alpha.then_some(plane), depth).unwrap()
}

pub fn constant(size: (u32, u32), rgb: [f32; 3], alpha: Option<f32>) -> Picture {
    let pixels = (size.0 * size.1) as usize;
    let planes = rgb.iter().flat_map(|&c| vec![c; pixels]).collect();
    Picture::from_planes(size, planes, alpha.map(|a| vec![a; pixels]), Depth::Eight).unwrap()
}

/// What `image` writes for `picture`.
pub fn file(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG of any colour type, with a palette and an eXIf chunk where given.
pub fn png(
    (width, height): (u32, u32),
    (colour, bits): (png::ColorType, png::BitDepth),
    palette: Option<(&[u8], &[u8])>,
    samples: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.set_depth(bits);
    if let Some((colours, alphas)) = palette {
        encoder.set_palette(colours.to_vec());
        encoder.set_trns(alphas.to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(samples).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A JPEG with everything `jpeg-encoder` can vary.
pub fn jpeg(
    (width, height): (u16, u16),
    colour: ColorType,
    samples: &[u8],
    progressive: bool,
    exif: Option<&[u8]>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_progressive(progressive);
    if let Some(exif) = exif {
        let segment = [b"Exif\0\0", exif].concat();
        encoder.add_app_segment(1, segment).unwrap();
    }
    encoder.encode(samples, width, height, colour).unwrap();
    bytes
}

/// EXIF with nothing but an orientation: a TIFF directory of one entry.
pub fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif
}

/// `png` with a chunk inserted in front of the first chunk called `before`.
pub fn with_chunk(png: &[u8], before: &[u8; 4], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let at = png.windows(4).position(|w| w == before).unwrap() - 4;
    let body = [kind.as_slice(), data].concat();
    let mut out = png[..at].to_vec();
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(&body);
    out.extend(crc32(&body).to_be_bytes());
    out.extend(&png[at..]);
    out
}

pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// A BMP with an 8-bit palette of greys, run-length encoded, its bottom row first.
pub fn bmp_rle8(width: u32, rows: &[&[(u8, u8)]]) -> Vec<u8> {
    let mut bytes = bmp_header(width, rows.len() as i32, 8, 1);
    bytes.extend((0..=255).flat_map(|grey| [grey, grey, grey, 0]));
    let offset = bytes.len() as u32;
    bytes[10..14].copy_from_slice(&offset.to_le_bytes());
    for row in rows {
        bytes.extend(row.iter().flat_map(|&(run, grey)| [run, grey]));
        bytes.extend([0, 0]);
    }
    bytes.extend([0, 1]);
    bytes
}

/// Both headers of a BMP, with the pixels right behind them.
pub fn bmp_header(width: u32, height: i32, bits: u16, compression: u32) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(compression.to_le_bytes());
    bytes.extend([0; 20]);
    bytes
}

/// A TIFF by hand, directory first: `entries` are (tag, value), all LONG; the strip comes last.
pub fn tiff(entries: &[(u16, u32)], strip: &[u8]) -> Vec<u8> {
    let mut entries = entries.to_vec();
    let offset = 8 + 2 + 12 * (entries.len() + 2) + 4;
    entries.extend([(273, offset as u32), (279, strip.len() as u32)]);
    entries.sort_unstable();
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend([4, 0, 1, 0, 0, 0]);
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend(strip);
    bytes
}

/// The entries of a grey 8-bit TIFF.
pub fn grey_tiff(width: u32, height: u32) -> Vec<(u16, u32)> {
    vec![(256, width), (257, height), (258, 8), (259, 1), (262, 1), (277, 1), (278, height)]
}
