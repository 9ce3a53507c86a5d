//! What bytes are, by their first few: a format this crate reads, or one it names and refuses.

use image::ImageFormat;

use super::refuse;
use crate::error::Result;

/// The format of `bytes`.
///
/// # Errors
/// Names what the bytes are instead, and the way out.
pub(super) fn recognise(bytes: &[u8], name: &str) -> Result<ImageFormat> {
    if let Some(format) = readable(bytes) {
        return Ok(format);
    }
    if bytes.is_empty() {
        return Err(refuse(name, "the file is empty: copy or download it again"));
    }
    Err(refuse(
        name,
        match foreign(bytes) {
            Some((kind, way_out)) => format!("this is {kind}, which impasto can't read: {way_out}"),
            None => format!(
                "this is not a picture that impasto knows{}: give it a JPEG, PNG, WebP, TIFF, BMP \
                 or GIF file",
                if is_text(bytes) { ", it is text" } else { "" }
            ),
        },
    ))
}

fn readable(bytes: &[u8]) -> Option<ImageFormat> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Some(ImageFormat::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(ImageFormat::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(ImageFormat::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(ImageFormat::WebP),
        // Canon's CR2 is a TIFF with a mark of its own; 43 is BigTIFF.
        [_, _, _, _, _, _, _, _, b'C', b'R', ..] if bytes.starts_with(b"II*\0") => None,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(ImageFormat::Tiff),
        // "BM" alone could begin a text; the size of the second header makes it sure.
        [b'B', b'M', rest @ ..] if matches!(rest.get(12..16), Some([12 | 40..=124, 0, 0, 0])) => {
            Some(ImageFormat::Bmp)
        }
        _ => None,
    }
}

const CONVERT: &str =
    "convert it to JPEG or PNG, for example with `magick INPUT out.png` or an image editor";
const FROM_HEIC: &str = "convert it to JPEG or PNG, for example with `heif-convert INPUT out.jpg` or `magick INPUT out.jpg`";
const FROM_AVIF: &str = "convert it to JPEG or PNG, for example with `avifdec INPUT out.png`";
const FROM_JXL: &str = "convert it to JPEG or PNG, for example with `djxl INPUT out.png`";
const FROM_SVG: &str =
    "draw it into a PNG, for example with `rsvg-convert -w 2048 INPUT -o out.png`";
const FROM_PDF: &str =
    "draw its page into a PNG, for example with `pdftoppm -png -r 200 INPUT out`";
pub(super) const FROM_RAW: &str =
    "develop it into a JPEG, PNG or TIFF, for example with `darktable-cli INPUT out.png`";
const FROM_VIDEO: &str =
    "take a frame from it, for example with `ffmpeg -i INPUT -frames:v 1 out.png`";
const DOWNLOAD: &str = "the download went wrong, fetch the picture itself";
const UNPACK: &str = "unpack it and give the picture inside";

/// First bytes, what has them, and the way out. ISO media files (`ftyp`) are told apart below.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (b"\xFF\x0A", "a JPEG XL picture", FROM_JXL),
    (b"\0\0\0\x0CJXL \r\n\x87\n", "a JPEG XL picture", FROM_JXL),
    (b"\0\0\0\x0CjP  ", "a JPEG 2000 picture", CONVERT),
    (b"\xFF\x4F\xFF\x51", "a JPEG 2000 picture", CONVERT),
    (b"II\xBC", "a JPEG XR picture", CONVERT),
    (b"8BPS", "a Photoshop (PSD) document", CONVERT),
    (b"gimp xcf", "a GIMP (XCF) document", CONVERT),
    (b"v/1\x01", "an OpenEXR picture", CONVERT),
    (b"#?RADIANCE", "a Radiance HDR picture", CONVERT),
    (b"qoif", "a QOI picture", CONVERT),
    (b"DDS ", "a DDS texture", CONVERT),
    (b"\0\0\x01\0", "a Windows icon (ICO)", CONVERT),
    (b"P1\n", "a PBM picture", CONVERT),
    (b"P2\n", "a PGM picture", CONVERT),
    (b"P3\n", "a PPM picture", CONVERT),
    (b"P4\n", "a PBM picture", CONVERT),
    (b"P5\n", "a PGM picture", CONVERT),
    (b"P6\n", "a PPM picture", CONVERT),
    (b"P7\n", "a PAM picture", CONVERT),
    (b"%PDF-", "a PDF document", FROM_PDF),
    (b"%!PS", "a PostScript document", CONVERT),
    (b"II*\0", "a camera's RAW picture (CR2)", FROM_RAW),
    (b"IIU\0", "a camera's RAW picture (RW2)", FROM_RAW),
    (b"IIRO", "a camera's RAW picture (ORF)", FROM_RAW),
    (b"IIRS", "a camera's RAW picture (ORF)", FROM_RAW),
    (b"MMOR", "a camera's RAW picture (ORF)", FROM_RAW),
    (b"FUJIFILMCCD-RAW", "a camera's RAW picture (RAF)", FROM_RAW),
    (b"FOVb", "a camera's RAW picture (X3F)", FROM_RAW),
    (b"\0MRM", "a camera's RAW picture (MRW)", FROM_RAW),
    (b"\x1A\x45\xDF\xA3", "a video", FROM_VIDEO),
    (b"PK\x03\x04", "a ZIP archive", UNPACK),
    (b"\x1F\x8B", "a gzip archive", UNPACK),
];

/// Brands of ISO media files (bytes 8..12, after `ftyp`), by their beginning; others are videos.
const BRANDS: &[(&[u8], &str, &str)] = &[
    (b"avi", "an AVIF picture", FROM_AVIF),
    (b"he", "a HEIC picture", FROM_HEIC),
    (b"mif1", "a HEIF picture", FROM_HEIC),
    (b"msf1", "a HEIF picture", FROM_HEIC),
    (b"crx", "a camera's RAW picture (CR3)", FROM_RAW),
    (b"", "a video", FROM_VIDEO),
];

fn foreign(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if let [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] = bytes {
        // A file may call itself generic HEIF and list AVIF only among its compatible brands.
        let listed = &brand[..brand.len().min(32)];
        if brand.starts_with(b"mif1") && listed.chunks(4).any(|b| b == b"avif") {
            return Some(("an AVIF picture", FROM_AVIF));
        }
        return begins(brand, BRANDS);
    }
    begins(bytes, FOREIGN).or_else(|| markup(bytes))
}

fn begins(
    bytes: &[u8],
    table: &[(&[u8], &'static str, &'static str)],
) -> Option<(&'static str, &'static str)> {
    table
        .iter()
        .find(|(magic, ..)| bytes.starts_with(magic))
        .map(|&(_, kind, way_out)| (kind, way_out))
}

/// SVG and HTML may begin with a byte-order mark, spaces, a declaration or comments.
fn markup(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
    if !head.trim_start_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']).starts_with('<') {
        return None;
    }
    if head.contains("<svg") {
        Some(("an SVG drawing", FROM_SVG))
    } else if head.contains("<html") || head.contains("<!doctype html") {
        Some(("a web page", DOWNLOAD))
    } else {
        None
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(1024)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut at 1024 may fall inside a character.
        Err(e) if e.error_len().is_none() => {
            std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or("")
        }
        Err(_) => return false,
    };
    !valid.chars().any(|c| c.is_control() && !c.is_whitespace())
}
