//! What must be refused: cut-off, hostile and foreign files. And nothing may panic.

use image::{DynamicImage, ImageFormat, RgbImage};
use impasto::Error;
use impasto::picture::{Depth, Format, MAX_SIDE, Picture, probe};
use jpeg_encoder::ColorType;

use super::make;

/// The message of the refusal, which must name the picture.
fn refusal(bytes: &[u8]) -> String {
    let error = Picture::decode(bytes, "cat.jpg").expect_err("refused");
    assert!(matches!(&error, Error::Picture { name, .. } if name == "cat.jpg"));
    error.to_string()
}

/// One file of every format and coding, of noise, by name.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let (width, height) = (61_u32, 47_u32);
    let samples = make::noise8((3 * width * height) as usize);
    let size = (width as u16, height as u16);
    let exif = make::exif(6);
    let image: DynamicImage = RgbImage::from_raw(width, height, samples.clone()).unwrap().into();
    let deep = make::picture((width, height), true, Depth::Sixteen);
    let rle: Vec<(u8, u8)> = samples[..60].iter().map(|&grey| (1, grey)).collect();
    let mut trailing = make::jpeg(size, ColorType::Rgb, &samples, false, None);
    trailing.extend(b"and then some");
    let tiff = make::tiff(&make::grey_tiff(width, height), &samples[..(width * height) as usize]);
    vec![
        ("baseline", make::jpeg(size, ColorType::Rgb, &samples, false, None)),
        ("exif", make::jpeg(size, ColorType::Rgb, &samples, false, Some(&exif))),
        ("progressive", make::jpeg(size, ColorType::Rgb, &samples, true, None)),
        ("png", make::file(image.clone(), ImageFormat::Png)),
        ("deep png", deep.encode(Format::Png).unwrap()),
        ("webp", make::file(image.clone(), ImageFormat::WebP)),
        ("deflated tiff", deep.encode(Format::Tiff).unwrap()),
        ("directory-first tiff", tiff),
        ("tiff", make::file(image.clone(), ImageFormat::Tiff)),
        ("bmp", make::file(image.clone(), ImageFormat::Bmp)),
        ("rle bmp", make::bmp_rle8(60, &[rle.as_slice(); 20])),
        ("gif", make::file(image, ImageFormat::Gif)),
    ]
}

#[test]
fn a_cut_anywhere_is_refused() {
    for (name, bytes) in files() {
        Picture::decode(&bytes, name).unwrap();
        // A run-length BMP that lacks only its end mark has every pixel, and is read.
        let last = bytes.len() - if name == "rle bmp" { 3 } else { 1 };
        let percents = (10..100).map(|percent| bytes.len() * percent / 100);
        for cut in percents.chain([last]) {
            let result = Picture::decode(&bytes[..cut], name);
            assert!(result.is_err(), "{name} cut to {cut} of {}", bytes.len());
        }
        let line = refusal(&bytes[..bytes.len() * 3 / 4]);
        assert!(line.contains("cut off") && line.contains("again"), "{name}: {line}");
    }
}

#[test]
fn a_cut_filled_with_zeros_is_refused() {
    for (name, mut bytes) in files() {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
        // Zeros are pixels too where there is neither a checksum nor an end mark.
        if !matches!(name, "webp" | "bmp" | "rle bmp" | "directory-first tiff") {
            assert!(Picture::decode(&bytes, name).is_err(), "{name}");
        }
    }
}

#[test]
fn what_follows_a_picture_does_not_matter() {
    for (name, mut bytes) in files() {
        let picture = Picture::decode(&bytes, name).unwrap();
        bytes.extend(b"\0\0 a note from the scanner \xFF\xD8");
        assert_eq!(Picture::decode(&bytes, name).unwrap(), picture, "{name}");
    }
}

#[test]
fn changed_bytes_do_not_panic() {
    for (name, bytes) in files() {
        let noise = make::noise(3 * 400);
        for hit in noise.chunks(3) {
            let mut broken = bytes.clone();
            // Every other hit goes into the header, where the harm is done.
            let within = if hit[2] % 2 == 0 { 64.min(bytes.len()) } else { bytes.len() };
            broken[usize::from(hit[0]) % within] = hit[1] as u8;
            let _ = probe(&broken, name);
            let _ = Picture::decode(&broken, name);
        }
    }
}

#[test]
fn press_jpegs_are_refused() {
    let samples = make::noise8(4 * 16 * 16);
    for colour in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        for progressive in [false, true] {
            let bytes = make::jpeg((16, 16), colour, &samples, progressive, None);
            let line = refusal(&bytes);
            assert!(line.contains("CMYK") && line.contains("sRGB"), "{line}");
            assert!(probe(&bytes, "p").is_err());
        }
    }
}

#[test]
fn press_tiffs_are_refused() {
    let entries = [(256, 2), (257, 1), (258, 8), (259, 1), (262, 5), (277, 4), (278, 1)];
    let line = refusal(&make::tiff(&entries, &[0; 8]));
    assert!(line.contains("CMYK"), "{line}");
}

#[test]
fn raw_pictures_in_tiff_are_refused() {
    let mut thumbnail = make::grey_tiff(2, 1);
    thumbnail.push((254, 1));
    let mut dng = make::grey_tiff(2, 1);
    dng.push((50706, 0x0104));
    for entries in [thumbnail, dng] {
        let line = refusal(&make::tiff(&entries, &[0; 2]));
        assert!(line.contains("RAW") && line.contains("darktable-cli"), "{line}");
    }
}

#[test]
fn foreign_files_are_named() {
    let cases: [(&[u8], &str, &str); 17] = [
        (b"", "empty", "again"),
        (b"Dear cat,\nhow are you?\n", "it is text", "JPEG, PNG"),
        (b"\x07\x08\x09\x0A\x0B\x00\xFF", "not a picture", "JPEG, PNG"),
        (b"BMW is a car", "it is text", "JPEG, PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", "heif-convert"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIF", "heif-convert"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF", "avifdec"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf", "AVIF", "avifdec"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "RAW", "darktable-cli"),
        (b"\0\0\0\x18ftypisom\0\0\0\x01", "video", "ffmpeg"),
        (b"\xFF\x0A\xFA\x1F", "JPEG XL", "djxl"),
        (b"8BPS\0\x01", "PSD", "magick"),
        (b"II*\0\x10\0\0\0CR\x02\0", "RAW", "darktable-cli"),
        (b"FUJIFILMCCD-RAW 0201", "RAW", "darktable-cli"),
        (b"<?xml version=\"1.0\"?>\n<svg xmlns=\"\">", "SVG", "rsvg-convert"),
        (b"%PDF-1.7\n", "PDF", "pdftoppm"),
        (b"\xEF\xBB\xBF<!DOCTYPE html><p>", "web page", "download"),
    ];
    for (bytes, kind, way_out) in cases {
        let line = refusal(bytes);
        assert!(line.contains(kind) && line.contains(way_out), "{line}");
        assert_eq!(probe(bytes, "cat.jpg").unwrap_err().to_string(), line);
    }
}

/// A PNG that is all header.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let bytes = make::file(RgbImage::new(1, 1), ImageFormat::Png);
    let mut header = [b"IHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes()].concat();
    header.extend([16, 6, 0, 0, 0]);
    let crc = make::crc32(&header).to_be_bytes();
    [&bytes[..12], &header, &crc, &bytes[33..]].concat()
}

#[test]
fn hostile_sizes_are_refused_from_the_header() {
    let side = MAX_SIDE.to_string();
    let gif = |side: u16| {
        [
            b"GIF89a".as_slice(),
            &side.to_le_bytes(),
            &side.to_le_bytes(),
            b"\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x4C\x01\0;", // a frame of one pixel
        ]
        .concat()
    };
    let cases = [
        (png_claiming(0x7FFF_FFFF, 0x7FFF_FFFF), side.as_str()),
        (png_claiming(MAX_SIDE + 1, 1), side.as_str()),
        (png_claiming(MAX_SIDE, MAX_SIDE), "megapixels"),
        (png_claiming(16_000, 16_000), "can't hold"),
        (png_claiming(0, 5), "side is 0"),
        (make::bmp_header(60_000, 60_000, 24, 0), side.as_str()),
        (make::bmp_header(i32::MAX as u32, i32::MAX, 24, 0), side.as_str()),
        (make::bmp_header(16_000, 16_000, 24, 0), "can't hold"),
        (make::bmp_header(0, 5, 24, 0), "side is 0"),
        (make::bmp_header(5, i32::MIN, 24, 0), side.as_str()),
        (make::tiff(&make::grey_tiff(u32::MAX, u32::MAX), &[0]), side.as_str()),
        (make::tiff(&make::grey_tiff(16_000, 16_000), &[0]), "can't hold"),
        (gif(u16::MAX), side.as_str()),
        (gif(16_000), "can't hold"),
    ];
    for (bytes, word) in cases {
        let line = probe(&bytes, "cat.jpg").unwrap_err().to_string();
        assert!(line.starts_with("cat.jpg: ") && line.contains(word), "{word}: {line}");
        assert_eq!(refusal(&bytes), line);
    }
}

#[test]
fn probe_reads_no_pixels() {
    for (name, bytes) in files() {
        if name.contains("tiff") || name.contains("rle") {
            continue; // their headers may stand last, or fill a good part of the file
        }
        let whole = probe(&bytes, name).unwrap();
        assert_eq!(whole, Picture::decode(&bytes, name).unwrap().size());
        if name != "webp" {
            assert_eq!(probe(&bytes[..bytes.len() / 2], name).unwrap(), whole, "{name}");
        }
    }
}
