//! Colour profiles, EXIF and settings, from file to file.

use image::{ImageFormat, RgbImage};
use impasto::picture::{Depth, Format, Metadata, Picture, settings};

use super::make;

const FORMATS: [Format; 4] = [Format::Png, Format::Jpeg, Format::WebP, Format::Tiff];

/// Text with all that containers could stumble over.
const SETTINGS: &str = r#"{"style":"a & b <c> &amp; \"d\" é 絵.jpg","steps":100,"lr":0.05}"#;

fn display_p3() -> Vec<u8> {
    moxcms::ColorProfile::new_display_p3().encode().unwrap()
}

/// One entry of a directory: tag, type, count, and four bytes of value or place.
type Row = (u16, u16, u32, u32);

/// A directory in little endian, with a link to the next.
fn directory(rows: &[Row], next: u32) -> Vec<u8> {
    let mut bytes = (rows.len() as u16).to_le_bytes().to_vec();
    for (tag, kind, count, value) in rows {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend(next.to_le_bytes());
    bytes
}

const THUMBNAIL: &[u8] = b"\xFF\xD8 tiny \xFF\xD9";

/// What a camera writes: turned, with its own sides, maker's notes, a place and a thumbnail. The
/// upright picture has `size`.
fn camera(orientation: u32, (width, height): (u32, u32), thumbnail: bool) -> Vec<u8> {
    // Main directory at 8 (5 entries), shot's at 74 (5), GPS at 140 (1), thumbnail's at 158 (2), values at 188.
    let main = [
        (0x010F, 2, 8, 188),
        (0x0112, 3, 1, orientation),
        (0x013B, 2, 4, u32::from_le_bytes(*b"Ann\0")),
        (0x8769, 4, 1, 74),
        (0x8825, 4, 1, 140),
    ];
    let shot = [
        (0x829A, 5, 1, 196),
        (0x9003, 2, 20, 204),
        (0x927C, 7, 6, 224),
        (0xA002, 9, 1, width), // signed, as darktable writes it
        (0xA003, 3, 1, height),
    ];
    let gps = [(0x0001, 2, 2, u32::from_le_bytes(*b"N\0\0\0"))];
    let second = [(0x0201, 4, 1, 230), (0x0202, 4, 1, THUMBNAIL.len() as u32)];
    let mut exif = b"II*\0\x08\0\0\0".to_vec();
    exif.extend(directory(&main, if thumbnail { 158 } else { 0 }));
    exif.extend(directory(&shot, 0));
    exif.extend(directory(&gps, 0));
    exif.extend(directory(&second, 0));
    exif.extend(b"Penta 3\0\x01\0\0\0\x7D\0\0\0");
    exif.extend(b"2026:11:21 21:00:00\0notes!");
    exif.extend(if thumbnail { THUMBNAIL } else { &[] });
    exif
}

fn full(size: (u32, u32)) -> Metadata {
    Metadata {
        icc: Some(display_p3()),
        exif: Some(camera(1, size, false)),
        dpi: None,
        settings: Some(SETTINGS.into()),
    }
}

#[test]
fn everything_survives_every_format() {
    let size = (23, 17);
    for depth in [Depth::Eight, Depth::Sixteen] {
        for alpha in [false, true] {
            let picture = make::picture(size, alpha, depth).with_metadata(full(size));
            for format in FORMATS {
                let bytes = picture.encode(format).unwrap();
                let back = Picture::decode(&bytes, "p").unwrap();
                assert_eq!(back.metadata().icc, picture.metadata().icc, "{format:?}");
                assert_eq!(back.metadata().settings.as_deref(), Some(SETTINGS), "{format:?}");
                assert_eq!(settings(&bytes, "p").unwrap().as_deref(), Some(SETTINGS));
                if format != Format::Tiff {
                    assert_eq!(back.metadata().exif, picture.metadata().exif, "{format:?}");
                }
                // `image` finds the same pixels, and does not stumble.
                let plain = picture.clone().with_metadata(Metadata::default());
                let plain = image::load_from_memory(&plain.encode(format).unwrap()).unwrap();
                assert_eq!(image::load_from_memory(&bytes).unwrap(), plain, "{format:?}");
            }
        }
    }
}

#[test]
fn nothing_stays_nothing() {
    let picture = make::picture((9, 8), true, Depth::Eight);
    assert_eq!(picture.metadata(), &Metadata::default());
    for format in FORMATS {
        let bytes = picture.encode(format).unwrap();
        assert_eq!(Picture::decode(&bytes, "p").unwrap().metadata(), &Metadata::default());
        assert_eq!(settings(&bytes, "p").unwrap(), None);
    }
}

/// An EXIF block that says nothing but so many pixels per unit (2: inches, 3: centimetres).
fn printed(unit: u32, pixels: u32) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0".to_vec();
    // Three entries at 8, their values at 50.
    let rows = [(0x011A, 5, 1, 50), (0x011B, 5, 1, 58), (0x0128, 3, 1, unit)];
    exif.extend(directory(&rows, 0));
    exif.extend([pixels, 1, pixels, 1].map(u32::to_le_bytes).concat());
    exif
}

#[test]
fn the_size_in_print_is_kept() {
    let of = |exif, dpi, format| {
        let metadata = Metadata { exif, dpi, ..Metadata::default() };
        let picture = make::picture((9, 8), false, Depth::Eight).with_metadata(metadata);
        Picture::decode(&picture.encode(format).unwrap(), "p").unwrap().metadata().clone()
    };
    let near = |dpi: Option<f64>, wanted: f64| {
        assert!(dpi.is_some_and(|dpi| (dpi - wanted).abs() < 0.02), "{dpi:?} instead of {wanted}");
    };
    for format in [Format::Png, Format::Jpeg, Format::Tiff] {
        near(of(None, Some(300.0), format).dpi, 300.0);
        near(of(None, Some(72.0), format).dpi, 72.0);
        // Where EXIF says something else, it is put right.
        let both = of(Some(printed(3, 28)), Some(300.0), format);
        near(both.dpi, 300.0);
        if let Some(exif) = both.exif {
            let ones = [300_000u32, 1000].map(u32::to_le_bytes).concat();
            let unit = 2u16.to_le_bytes().to_vec();
            assert_eq!(values(&exif), [(0x011A, ones.clone()), (0x011B, ones), (0x0128, unit)]);
        }
    }
    for format in [Format::Png, Format::Jpeg] {
        near(of(Some(printed(2, 240)), None, format).dpi, 240.0);
        near(of(Some(printed(3, 100)), None, format).dpi, 254.0);
    }
    // WebP has EXIF alone.
    near(of(Some(printed(2, 240)), Some(300.0), Format::WebP).dpi, 300.0);
    assert_eq!(of(None, Some(300.0), Format::WebP).dpi, None);
}

/// The values of these tags, wherever they stand in a little-endian block: one value a tag.
fn values(exif: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let u16 = |at: usize| u16::from_le_bytes(exif[at..at + 2].try_into().unwrap());
    let u32 = |at: usize| u32::from_le_bytes(exif[at..at + 4].try_into().unwrap()) as usize;
    let mut found = Vec::new();
    let mut directories = vec![u32(4)];
    while let Some(at) = directories.pop() {
        for entry in (0..usize::from(u16(at))).map(|i| at + 2 + 12 * i) {
            let bytes =
                [1, 1, 2, 4, 8, 1, 1, 2, 4][usize::from(u16(entry + 2)) - 1] * u32(entry + 4);
            let place = if bytes > 4 { u32(entry + 8) } else { entry + 8 };
            match u16(entry) {
                0x8769 | 0x8825 => directories.push(u32(entry + 8)),
                tag => found.push((tag, exif[place..place + bytes].to_vec())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_photograph_stays_one_in_a_tiff() {
    let picture = make::picture((23, 17), false, Depth::Sixteen).with_metadata(full((23, 17)));
    let tiff = Picture::decode(&picture.encode(Format::Tiff).unwrap(), "p").unwrap();
    let exif = tiff.metadata().exif.clone().unwrap();
    let before = values(picture.metadata().exif.as_ref().unwrap());
    // A maker's notes do not bear being moved. A TIFF has its orientation outside its EXIF.
    let kept: Vec<_> = before.into_iter().filter(|(t, _)| ![0x927C, 0x0112].contains(t)).collect();
    assert_eq!(values(&exif), kept);
    assert_eq!(kept.len(), 7);
    // And back.
    let png = Picture::decode(&tiff.encode(Format::Png).unwrap(), "p").unwrap();
    assert_eq!(png, tiff);
}

#[test]
fn what_no_longer_holds_is_put_right() {
    let turned = camera(6, (4000, 3000), true);
    let image = make::file(RgbImage::new(30, 20), ImageFormat::Png);
    let bytes = make::with_chunk(&image, b"IDAT", b"eXIf", &turned);
    let picture = Picture::decode(&bytes, "p").unwrap();
    assert_eq!(picture.size(), (20, 30));
    // No thumbnail any more: neither its bytes nor a link to it.
    let mut expected = camera(1, (20, 30), false);
    expected.truncate(turned.len() - THUMBNAIL.len());
    assert_eq!(picture.metadata().exif.as_deref(), Some(&expected[..]));
    // Another size gets other sides.
    let bytes = picture.resized(10, 15).encode(Format::WebP).unwrap();
    let small = Picture::decode(&bytes, "p").unwrap();
    assert_eq!(small.metadata().exif, Some(camera(1, (10, 15), false)));
    // The other byte order.
    let jpeg = make::jpeg(
        (8, 8),
        jpeg_encoder::ColorType::Rgb,
        &make::noise8(192),
        false,
        Some(&make::exif(8)),
    );
    let exif = Picture::decode(&jpeg, "p").unwrap().metadata().exif.clone();
    assert_eq!(exif, Some(make::exif(1)));
}

#[test]
fn damage_is_left_out() {
    let size = (23, 17);
    let whole = camera(1, size, true);
    let png = make::file(RgbImage::new(23, 17), ImageFormat::Png);
    let decode = |exif: &[u8]| {
        let bytes = make::with_chunk(&png, b"IDAT", b"eXIf", exif);
        let picture = Picture::decode(&bytes, "p").unwrap();
        for format in FORMATS {
            let again = picture.encode(format).unwrap();
            assert_eq!(Picture::decode(&again, "p").unwrap().size(), size);
        }
        picture
    };
    for cut in 0..whole.len() {
        decode(&whole[..cut]);
    }
    let noise = make::noise(3 * 300);
    for hit in noise.chunks(2) {
        let mut broken = whole.clone();
        broken[usize::from(hit[0]) % whole.len()] = hit[1] as u8;
        decode(&broken);
    }
    assert_eq!(decode(b"nonsense").metadata().exif, None);
    // A loop of directories.
    let mut looped = whole.clone();
    looped[18..22].copy_from_slice(&[0x69, 0x87, 4, 0]);
    looped[26..30].copy_from_slice(&8_u32.to_le_bytes());
    decode(&looped);
}

#[test]
fn changed_bytes_do_not_panic() {
    let picture = make::picture((23, 17), false, Depth::Eight).with_metadata(full((23, 17)));
    for format in FORMATS {
        let bytes = picture.encode(format).unwrap();
        for hit in make::noise(2 * 1000).chunks(2) {
            let mut broken = bytes.clone();
            broken[usize::from(hit[0]) % bytes.len()] = hit[1] as u8;
            let _ = settings(&broken, "p");
            if let Ok(picture) = Picture::decode(&broken, "p") {
                let _ = picture.encode(Format::Tiff);
            }
        }
    }
}

#[test]
fn profiles_that_are_not_of_rgb_are_left_out() {
    let grey = moxcms::ColorProfile::new_gray_with_gamma(2.2).encode().unwrap();
    for (icc, kept) in [(display_p3(), true), (grey, false), (b"nonsense".to_vec(), false)] {
        let metadata = Metadata { icc: Some(icc.clone()), ..Metadata::default() };
        let picture = make::picture((5, 4), false, Depth::Eight).with_metadata(metadata);
        for format in FORMATS {
            let back = Picture::decode(&picture.encode(format).unwrap(), "p").unwrap();
            assert_eq!(back.metadata().icc, kept.then(|| icc.clone()), "{format:?}");
        }
    }
    // An iCCP chunk that is no profile at all.
    let png = make::file(RgbImage::new(3, 2), ImageFormat::Png);
    let bytes = make::with_chunk(&png, b"IDAT", b"iCCP", b"x\0\0 no deflate stream");
    assert_eq!(Picture::decode(&bytes, "p").unwrap().metadata().icc, None);
}

#[test]
fn too_much_for_a_jpeg_is_left_out() {
    let mut exif = camera(1, (5, 4), false);
    exif.resize(70_000, 0);
    let settings = Some("x".repeat(70_000));
    let metadata = Metadata { icc: Some(display_p3()), dpi: None, exif: Some(exif), settings };
    let picture = make::picture((5, 4), false, Depth::Eight).with_metadata(metadata.clone());
    for format in [Format::Png, Format::WebP] {
        let back = Picture::decode(&picture.encode(format).unwrap(), "p").unwrap();
        assert_eq!(back.metadata(), &metadata);
    }
    let back = Picture::decode(&picture.encode(Format::Jpeg).unwrap(), "p").unwrap();
    assert_eq!(back.metadata(), &Metadata { icc: metadata.icc, ..Metadata::default() });
}

#[test]
fn a_resized_picture_keeps_it() {
    let picture = make::picture((23, 17), true, Depth::Eight).with_metadata(full((23, 17)));
    assert_eq!(picture.resized(9, 9).metadata(), picture.metadata());
}
