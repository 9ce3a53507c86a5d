//! JPEG's marker segments (ITU-T T.81, annex B), for what its decoder does not tell or write: whether the
//! file is whole, what kind of JPEG it is, and XMP. The decoder paints what is missing grey.

use super::refuse;
use crate::error::Result;

const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
/// What a segment of XMP begins with.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// The most bytes that a segment can hold.
const SEGMENT: usize = u16::MAX as usize - 2;
/// The most bytes of EXIF: a segment with a header of its own.
pub(super) const MAX_EXIF: usize = SEGMENT - 6;
/// The most bytes of a colour profile: up to 255 segments with headers of their own.
pub(super) const MAX_ICC: usize = 255 * (SEGMENT - 14);

/// Walks the marker segments as (marker, payload). Ends where the bytes end.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // Steps over entropy-coded data too: there 0xFF is followed by 0.
            self.at += self.bytes.get(self.at..)?.iter().position(|&b| b == 0xFF)? + 1;
            match *self.bytes.get(self.at)? {
                // Stuffing, fill, TEM, restarts and the start of the image: nothing to read here.
                0x00 | 0x01 | 0xFF | 0xD0..=0xD8 => {}
                EOI => return Some((EOI, &[])),
                marker => {
                    let rest = self.bytes.get(self.at + 1..)?;
                    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
                    self.at += 1 + length;
                    return Some((marker, rest.get(2.min(length)..length)?));
                }
            }
        }
    }
}

fn segments(bytes: &[u8]) -> Segments<'_> {
    Segments { bytes, at: 0 }
}

/// Whether the end marker is there. What follows it (padding, further pictures) does not matter,
/// and a thumbnail's own end marker is stepped over with the segment it lies in.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    segments(bytes).any(|(marker, _)| marker == EOI)
}

/// Refuses the JPEGs that no decoder here can paint rightly.
///
/// CMYK and YCCK are refused because their colours depend on the press profile they were made
/// for; the usual formula without it gives garish pictures.
pub(super) fn check_frame(bytes: &[u8], name: &str) -> Result<()> {
    let is_frame = |m: u8| matches!(m, 0xC0..=0xCF) && !matches!(m, 0xC4 | 0xC8 | 0xCC);
    let Some((marker, [precision, _, _, _, _, components, ..])) =
        segments(bytes).find(|&(m, _)| is_frame(m))
    else {
        return Ok(()); // the decoder has its own words for this
    };
    let refused = match (marker, precision, components) {
        (0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF, ..) => "a lossless or hierarchical JPEG",
        (0xC9 | 0xCA, ..) => "a JPEG with arithmetic coding",
        (_, 9.., _) => "a JPEG with more than 8 bits a sample",
        (.., 4) => "a CMYK JPEG, made for printing",
        (.., 2 | 5..) => "a JPEG that is neither grey nor colour",
        _ => return Ok(()),
    };
    Err(refuse(
        name,
        format!(
            "this is {refused}, which impasto can't read: convert it to an ordinary RGB picture, \
             for example with `magick INPUT -colorspace sRGB out.png` or an image editor"
        ),
    ))
}

/// JFIF's unit (1: inches, 2: centimetres) and the pixels in one across and down.
pub(super) fn density(bytes: &[u8]) -> Option<(u16, [f64; 2])> {
    let jfif = |(marker, data): (u8, &[u8])| match data.strip_prefix(b"JFIF\0") {
        Some([_, _, unit, a, b, c, d, ..]) if marker == APP0 => {
            let pixels = [[*a, *b], [*c, *d]].map(|pair| u16::from_be_bytes(pair).into());
            Some((u16::from(*unit), pixels))
        }
        _ => None,
    };
    segments(bytes).take_while(|(marker, _)| *marker != SOS).find_map(jfif)
}

/// Puts an XMP packet into an encoded picture, behind the headers of JFIF and EXIF, which come first by custom. Packets
/// that are larger than a segment are left out.
pub(super) fn insert_xmp(jpeg: &mut Vec<u8>, packet: &[u8]) {
    let Some(payload) = Some(XMP.len() + packet.len()).filter(|bytes| *bytes <= SEGMENT) else {
        return;
    };
    let mut at = 2;
    while let Some(&[0xFF, APP0 | APP1, high, low]) = jpeg.get(at..).and_then(|b| b.first_chunk()) {
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    let length = (payload as u16 + 2).to_be_bytes();
    jpeg.splice(at..at, [&[0xFF, APP1], &length[..], XMP, packet].concat());
}
