//! A run's state as bytes, so that it can be kept and gone on from bit for bit.
//!
//! A safetensors file: `picture` (3×H×W), the optimiser's tensors under their names, and `log` (bytes). Its metadata
//! has the rest as JSON, and the seal: the SHA-256 of the whole file, read with 64 zeros in the seal's own place.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::optim::State;
use crate::paint::start::Carried;
use crate::picture::{Depth, Picture};

const VERSION: u32 = 1;
const HEAD: &str = "checkpoint";
const NOTES: &str = "notes";
const SEAL: &str = "sha256";
const PICTURE: &str = "picture";
const LOG: &str = "log";
const OPTIMISER: &str = "optimiser.";
/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// A run between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What the next painter goes on from.
    pub carried: Carried,
    /// Whatever else the caller needs to go on; a few kB of text.
    pub notes: String,
    /// What grows with the run, such as the lines of its trace.
    pub log: Vec<u8>,
}

/// The numbers beside the tensors.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    steps: u64,
    size: (u32, u32),
    sixteen_bits: bool,
    seconds: f64,
}

impl Checkpoint {
    /// The file's bytes.
    ///
    /// # Errors
    /// [`Error::Shape`] when a tensor's count does not fit: not for what a painter carries.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let Carried { picture, state, seconds } = &self.carried;
        let head = Head {
            version: VERSION,
            steps: state.steps,
            size: picture.size(),
            sixteen_bits: picture.depth() == Depth::Sixteen,
            seconds: *seconds,
        };
        let failed = |what: String| Error::Shape { op: "checkpoint", what };
        let head = serde_json::to_string(&head).map_err(|e| failed(e.to_string()))?;
        let own = [(HEAD, head), (NOTES, self.notes.clone()), (SEAL, "0".repeat(DIGITS))];
        let metadata = own.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let (width, height) = picture.size();
        let shape = |count| match [3, height as usize, width as usize] {
            planar if planar.iter().product::<usize>() == count => planar.to_vec(),
            _ => vec![count],
        };
        let floats = |name: String, numbers: &[f32]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            (name, Dtype::F32, shape(numbers.len()), bytes)
        };
        let mut tensors = vec![
            floats(PICTURE.into(), picture.rgb()),
            (LOG.into(), Dtype::U8, vec![self.log.len()], self.log.clone()),
        ];
        let own = state.tensors.iter();
        tensors.extend(own.map(|(name, numbers)| floats(format!("{OPTIMISER}{name}"), numbers)));
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
        });
        let views = views.collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
        let bytes = views.and_then(|views| serialize(views, Some(metadata)));
        let mut bytes = bytes.map_err(|e| failed(e.to_string()))?;
        let at = seal(&bytes).ok_or_else(|| failed("it has no room for its seal".into()))?;
        let digest = digest(&bytes, &at);
        bytes[at].copy_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    /// Reads what [`Checkpoint::to_bytes`] gave, from a file called `name`.
    ///
    /// # Errors
    /// [`Error::File`] when they are no checkpoint, or cut off, or not the bytes that were written.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        read(bytes).map_err(|what| Error::File { path: name.into(), what })
    }
}

const NONE: &str = "this is no checkpoint of impasto: name the file that ‹checkpoint› wrote";
const CUT: &str =
    "the checkpoint is cut off: start anew, or copy it again from where it was written";
const DAMAGED: &str =
    "the checkpoint is damaged (its SHA-256 is another): start anew, or use an older copy";

/// Header and data of a checkpoint that is whole.
fn whole(bytes: &[u8]) -> Result<(Metadata, &[u8]), &'static str> {
    if bytes.is_empty() {
        return Err("the file is empty, so there is nothing to go on from: start anew");
    }
    let (length, rest) = split(bytes).ok_or(NONE)?;
    let (header, data) = rest.split_at_checked(length).ok_or(CUT)?;
    let header: Metadata = serde_json::from_slice(header).map_err(|_| DAMAGED)?;
    let ours = header.metadata().as_ref().is_some_and(|own| own.contains_key(HEAD));
    let sealed = || seal(bytes).is_some_and(|at| digest(bytes, &at).as_bytes() == &bytes[at]);
    match data.len().cmp(&header.data_len()) {
        _ if !ours => Err(NONE),
        Ordering::Less => Err(CUT),
        Ordering::Equal if sealed() => Ok((header, data)),
        _ => Err(DAMAGED),
    }
}

fn read(bytes: &[u8]) -> Result<Checkpoint, String> {
    let (header, data) = whole(bytes)?;
    // From here on, what is odd was written that way.
    let mut metadata = header.metadata().clone().unwrap_or_default();
    let mut text = |key| metadata.remove(key).ok_or(NONE);
    let head: Head = serde_json::from_str(&text(HEAD)?).map_err(|_| NONE)?;
    if head.version != VERSION {
        let version = head.version;
        return Err(format!(
            "the checkpoint has version {version}, and this impasto reads {VERSION}: use the one that wrote it"
        ));
    }
    let (mut tensors, mut picture, mut log) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (name, info) in header.tensors() {
        let (from, to) = info.data_offsets;
        let bytes = data.get(from..to).unwrap_or_default();
        let chunks = bytes.as_chunks().0.iter();
        let floats = || chunks.map(|chunk| f32::from_le_bytes(*chunk)).collect();
        match name.strip_prefix(OPTIMISER) {
            Some(own) => drop(tensors.insert(own.to_owned(), floats())),
            None if name == PICTURE => picture = floats(),
            None => log = bytes.to_vec(),
        }
    }
    let depth = if head.sixteen_bits { Depth::Sixteen } else { Depth::Eight };
    let picture = Picture::from_planes(head.size, picture, None, depth);
    let state = State { steps: head.steps, tensors };
    let picture = picture.map_err(|e| e.to_string())?;
    let carried = Carried { picture, state, seconds: head.seconds };
    Ok(Checkpoint { carried, notes: text(NOTES)?, log })
}

/// The header's length, and all that follows that number; `None` when the bytes are no safetensors file.
fn split(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.first().filter(|first| **first == b'{')?;
    Some((usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX), rest))
}

/// Where the seal's digits are.
fn seal(bytes: &[u8]) -> Option<Range<usize>> {
    // Inside the notes, whose quotes are escaped, these bytes can't be.
    let mark = format!("\"{SEAL}\":\"");
    let (length, rest) = split(bytes)?;
    let header = rest.get(..length)?;
    let start = 8 + header.windows(mark.len()).position(|w| w == mark.as_bytes())? + mark.len();
    (start + DIGITS <= 8 + header.len()).then_some(start..start + DIGITS)
}

/// The SHA-256 with zeros in the seal's place, in hexadecimal digits.
fn digest(bytes: &[u8], seal: &Range<usize>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(&bytes[..seal.start]);
    hasher.update("0".repeat(DIGITS));
    hasher.update(&bytes[seal.end..]);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
