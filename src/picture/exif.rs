//! EXIF (CIPA DC-008): a TIFF header and directories of entries, twelve bytes each. Only what no longer holds is
//! changed, and in place: a maker's notes have offsets of their own, and would not survive a move.

use ::tiff::tags::{ByteOrder, Tag, Type};

const WIDTH: u16 = 0x0100;
const HEIGHT: u16 = 0x0101;
const ORIENTATION: u16 = 0x0112;
const ACROSS: u16 = 0x011A;
const DOWN: u16 = 0x011B;
const UNIT: u16 = 0x0128;
const SHOT: u16 = 0x8769;
const GPS: u16 = 0x8825;
const MAKER_NOTE: u16 = 0x927C;
const SHOT_WIDTH: u16 = 0xA002;
const SHOT_HEIGHT: u16 = 0xA003;
const INTEROPERABILITY: u16 = 0xA005;
const THUMBNAIL: u16 = 0x0201;
const THUMBNAIL_BYTES: u16 = 0x0202;

/// Cameras write a hundred entries, and EXIF in a JPEG has 64 KB in all. Larger ones are not copied: entries that share
/// their values could make gigabytes of a small file.
const MOST_ENTRIES: usize = 1000;
const LONGEST_VALUE: usize = 1 << 16;

/// What the first directory of a TIFF says about a photograph, and not about how pixels are stored: description,
/// make, model, software, date, artist, copyright.
const ABOUT: [u16; 7] = [0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298];

/// The EXIF of a picture that is upright and has this size. `None` where it can't be read.
pub(super) fn settled(exif: Vec<u8>, (width, height): (u32, u32)) -> Option<Vec<u8>> {
    // Some programs write the header of JPEG's segment into other formats too.
    let exif = exif.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec).unwrap_or(exif);
    let block = Block::open(&exif)?;
    let first = block.first()?;
    let (main, after) = block.directory(first)?;
    let shot = block.linked(&main, SHOT).unwrap_or_default();
    let mut edits = Vec::new();
    for (entries, tag, value) in [
        (&main, ORIENTATION, 1),
        (&main, WIDTH, width),
        (&main, HEIGHT, height),
        (&shot, SHOT_WIDTH, width),
        (&shot, SHOT_HEIGHT, height),
    ] {
        for entry in entries.iter().filter(|entry| entry.tag == tag) {
            edits.extend(block.number(entry, value).map(|bytes| (entry.place, bytes)));
        }
    }
    let mut end = exif.len();
    if let Some(second) = block.u32(after) {
        edits.push((after, vec![0; 4]));
        end = block.without_thumbnail(second as usize).unwrap_or(end);
    }
    let mut exif = exif;
    for (place, bytes) in edits {
        exif.get_mut(place..place + bytes.len())?.copy_from_slice(&bytes);
    }
    exif.truncate(end);
    Some(exif)
}

/// The unit of the resolution (2: inches, 3: centimetres) and the pixels in one across and down.
pub(super) fn resolution(bytes: &[u8]) -> Option<(u16, [f64; 2])> {
    let block = Block::open(bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes))?;
    let (main, _) = block.directory(block.first()?)?;
    let entry = |tag| main.iter().find(|entry| entry.tag == tag);
    let pixels = |tag| {
        let place = entry(tag).filter(|e| e.kind == Type::RATIONAL)?.place;
        Some(f64::from(block.u32(place)?) / f64::from(block.u32(place + 4)?))
    };
    // Without one they are inches.
    let unit = entry(UNIT).map_or(Some(2), |unit| block.u16(unit.place))?;
    (unit >= 1).then_some((unit, [pixels(ACROSS)?, pixels(DOWN)?]))
}

/// The EXIF of a picture with so many pixels per inch, where it has a place for that.
pub(super) fn printed(mut exif: Vec<u8>, dpi: Option<f64>) -> Vec<u8> {
    let edits = || -> Option<Vec<(usize, Vec<u8>)>> {
        let (dpi, block) = (dpi?, Block::open(&exif)?);
        let (main, _) = block.directory(block.first()?)?;
        let mut edits = Vec::new();
        for entry in &main {
            match (entry.tag, entry.kind) {
                (UNIT, _) => edits.push((entry.place, block.number(entry, 2)?)),
                (ACROSS | DOWN, Type::RATIONAL) if entry.length == 8 => {
                    let numbers = [(dpi * 1000.0).round() as u32, 1000];
                    let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_ne_bytes()).collect();
                    ByteOrder::native().convert(Type::RATIONAL, &mut bytes, block.order);
                    edits.push((entry.place, bytes));
                }
                _ => {}
            }
        }
        Some(edits)
    };
    for (place, bytes) in edits().unwrap_or_default() {
        // Entries lie inside: that was checked when they were read.
        if let Some(part) = exif.get_mut(place..place + bytes.len()) {
            part.copy_from_slice(&bytes);
        }
    }
    exif
}

/// A directory's entry with its value, in the machine's byte order.
pub(super) struct Field {
    pub tag: Tag,
    pub kind: Type,
    pub value: Vec<u8>,
}

/// What stands about a photograph in an EXIF block, or in a TIFF (but no BigTIFF), which is built alike.
#[derive(Default)]
pub(super) struct About {
    /// Of the first directory.
    pub main: Vec<Field>,
    /// How it was taken; without the maker's notes.
    pub shot: Vec<Field>,
    /// Where.
    pub gps: Vec<Field>,
}

impl About {
    /// `None` where there is nothing.
    pub fn read(bytes: &[u8]) -> Option<About> {
        let block = Block::open(bytes)?;
        let (main, _) = block.directory(block.first()?)?;
        let fields = |entries: Option<Vec<Entry>>, keep: &dyn Fn(u16) -> bool| -> Vec<Field> {
            let entries = entries.unwrap_or_default();
            entries.iter().filter(|e| keep(e.tag)).filter_map(|e| block.field(e)).collect()
        };
        let moves = |tag| !matches!(tag, MAKER_NOTE | INTEROPERABILITY);
        let about = About {
            shot: fields(block.linked(&main, SHOT), &moves),
            gps: fields(block.linked(&main, GPS), &moves),
            main: fields(Some(main), &|tag| ABOUT.contains(&tag)),
        };
        let empty = about.main.is_empty() && about.shot.is_empty() && about.gps.is_empty();
        (!empty).then_some(about)
    }
}

struct Entry {
    tag: u16,
    kind: Type,
    /// Where the value lies, and how long it is, in bytes.
    place: usize,
    length: usize,
}

/// Bytes of one item of a value; `None` for types that EXIF does not have.
fn item_bytes(kind: Type) -> Option<usize> {
    match kind {
        Type::BYTE | Type::ASCII | Type::SBYTE | Type::UNDEFINED => Some(1),
        Type::SHORT | Type::SSHORT => Some(2),
        Type::LONG | Type::SLONG | Type::FLOAT | Type::IFD => Some(4),
        Type::RATIONAL | Type::SRATIONAL | Type::DOUBLE => Some(8),
        _ => None,
    }
}

struct Block<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
}

impl<'a> Block<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        let order = match bytes.get(..4)? {
            b"II*\0" => ByteOrder::LittleEndian,
            b"MM\0*" => ByteOrder::BigEndian,
            _ => return None,
        };
        Some(Block { bytes, order })
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(match self.order {
            ByteOrder::LittleEndian => u16::from_le_bytes(bytes),
            ByteOrder::BigEndian => u16::from_be_bytes(bytes),
        })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(match self.order {
            ByteOrder::LittleEndian => u32::from_le_bytes(bytes),
            ByteOrder::BigEndian => u32::from_be_bytes(bytes),
        })
    }

    /// Where the first directory lies.
    fn first(&self) -> Option<usize> {
        Some(self.u32(4)? as usize)
    }

    /// The entries of the directory at `at`, those of unknown types left out, and where the link to the next
    /// directory lies.
    fn directory(&self, at: usize) -> Option<(Vec<Entry>, usize)> {
        let count = usize::from(self.u16(at)?);
        if count > MOST_ENTRIES {
            return None;
        }
        let entries = (0..count).filter_map(|i| self.entry(at + 2 + 12 * i)).collect();
        Some((entries, at + 2 + 12 * count))
    }

    fn entry(&self, at: usize) -> Option<Entry> {
        let kind = Type::from_u16(self.u16(at + 2)?)?;
        let length = item_bytes(kind)?.checked_mul(self.u32(at + 4)? as usize)?;
        let place = if length <= 4 { at + 8 } else { self.u32(at + 8)? as usize };
        let inside = place.checked_add(length)? <= self.bytes.len();
        inside.then_some(Entry { tag: self.u16(at)?, kind, place, length })
    }

    /// The directory that an entry called `tag` leads to.
    fn linked(&self, entries: &[Entry], tag: u16) -> Option<Vec<Entry>> {
        let link = entries.iter().find(|entry| entry.tag == tag)?;
        Some(self.directory(self.u32(link.place)? as usize)?.0)
    }

    fn field(&self, entry: &Entry) -> Option<Field> {
        if entry.length > LONGEST_VALUE {
            return None;
        }
        let mut value = self.bytes.get(entry.place..entry.place + entry.length)?.to_vec();
        self.order.convert(entry.kind, &mut value, ByteOrder::native());
        Some(Field { tag: Tag::from_u16_exhaustive(entry.tag), kind: entry.kind, value })
    }

    /// The bytes of a number that takes the place of an entry's value.
    fn number(&self, entry: &Entry, value: u32) -> Option<Vec<u8>> {
        let mut bytes = match entry.kind {
            Type::SHORT => u16::try_from(value).ok()?.to_ne_bytes().to_vec(),
            Type::LONG | Type::SLONG => value.to_ne_bytes().to_vec(),
            _ => return None,
        };
        ByteOrder::native().convert(entry.kind, &mut bytes, self.order);
        (bytes.len() == entry.length).then_some(bytes)
    }

    /// Where the block ends without the thumbnail of the directory at `at`, if that comes last.
    fn without_thumbnail(&self, at: usize) -> Option<usize> {
        let (entries, _) = self.directory(at)?;
        let number = |tag| {
            let entry = entries.iter().find(|e| e.tag == tag && e.kind == Type::LONG)?;
            Some(self.u32(entry.place)? as usize)
        };
        let (place, bytes) = (number(THUMBNAIL)?, number(THUMBNAIL_BYTES)?);
        let last = place > at && place.checked_add(bytes)? == self.bytes.len();
        last.then_some(place)
    }
}
