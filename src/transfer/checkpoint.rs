//! A run's state as bytes, so that it can be kept and gone on from bit for bit.
//!
//! A safetensors file: `picture` (3×H×W), the optimiser's tensors under their names, and `log` (bytes). Its metadata
//! has the rest as JSON, and the seal: the SHA-256 of the whole file, read with 64 zeros in the seal's own place.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::start::Carried;
use crate::error::{Error, Result};
use crate::optim::State;
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
        let metadata: HashMap<_, _> = own.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let (width, height) = picture.size();
        let planar = vec![3, height as usize, width as usize];
        let mut tensors = vec![
            (PICTURE.to_owned(), Dtype::F32, planar.clone(), little_endian(picture.rgb())),
            (LOG.to_owned(), Dtype::U8, vec![self.log.len()], self.log.clone()),
        ];
        for (name, numbers) in &state.tensors {
            let own = if numbers.len() == picture.rgb().len() {
                planar.clone()
            } else {
                vec![numbers.len()]
            };
            tensors.push((format!("{OPTIMISER}{name}"), Dtype::F32, own, little_endian(numbers)));
        }
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

fn read(bytes: &[u8]) -> Result<Checkpoint, String> {
    let none =
        || "this is no checkpoint of impasto: name the file that --checkpoint wrote".to_owned();
    let damaged = || {
        "the checkpoint is damaged (its SHA-256 is another): start anew, or use an older copy"
            .to_owned()
    };
    if bytes.is_empty() {
        return Err("the file is empty, so there is nothing to go on from: start anew".into());
    }
    let (header, data) = split(bytes).ok_or_else(none)?;
    let cut = || {
        "the checkpoint is cut off: start anew, or copy it again from where it was written"
            .to_owned()
    };
    let (header, data) = (header.ok_or_else(cut)?, data.ok_or_else(cut)?);
    let parsed: Metadata = serde_json::from_slice(header).map_err(|_| damaged())?;
    let mut metadata = parsed.metadata().clone().ok_or_else(none)?;
    let head = metadata.get(HEAD).ok_or_else(none)?;
    if data.len() < parsed.data_len() {
        return Err(cut());
    }
    let sealed = seal(bytes).is_some_and(|at| digest(bytes, &at).as_bytes() == &bytes[at]);
    if data.len() != parsed.data_len() || !sealed {
        return Err(damaged());
    }
    // The seal is whole, so what is odd from here on was written that way.
    let head: Head = serde_json::from_str(head).map_err(|_| none())?;
    if head.version != VERSION {
        let version = head.version;
        return Err(format!(
            "the checkpoint has version {version}, and this impasto reads {VERSION}: use the one that wrote it"
        ));
    }
    let (mut tensors, mut picture, mut log) = (BTreeMap::new(), None, Vec::new());
    for (name, info) in parsed.tensors() {
        let (from, to) = info.data_offsets;
        let bytes = data.get(from..to).unwrap_or_default();
        match name.strip_prefix(OPTIMISER) {
            Some(own) => drop(tensors.insert(own.to_owned(), numbers(bytes))),
            None if name == PICTURE => picture = Some(numbers(bytes)),
            None => log = bytes.to_vec(),
        }
    }
    let depth = if head.sixteen_bits { Depth::Sixteen } else { Depth::Eight };
    let picture = Picture::from_planes(head.size, picture.ok_or_else(none)?, None, depth);
    let state = State { steps: head.steps, size: head.size, tensors };
    Ok(Checkpoint {
        carried: Carried {
            picture: picture.map_err(|e| e.to_string())?,
            state,
            seconds: head.seconds,
        },
        notes: metadata.remove(NOTES).ok_or_else(none)?,
        log,
    })
}

/// The header and the data, each as far as it is there; `None` when the bytes are no safetensors file.
fn split(bytes: &[u8]) -> Option<(Option<&[u8]>, Option<&[u8]>)> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.first().filter(|first| **first == b'{')?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    Some((rest.get(..length), rest.get(length..)))
}

/// Where the seal's digits are.
fn seal(bytes: &[u8]) -> Option<Range<usize>> {
    // Inside the notes, whose quotes are escaped, these bytes can't be.
    let mark = format!("\"{SEAL}\":\"");
    let header = split(bytes)?.0?;
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

fn little_endian(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}
