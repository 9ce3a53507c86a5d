//! The safetensors container: bytes → metadata and named tensors, none of it trusted.
//!
//! Layout (<https://github.com/huggingface/safetensors#format>): u64 little-endian length of the
//! header, the header (a JSON object that starts with `{`), then the tensors' bytes without holes.

use std::collections::BTreeMap;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

/// A whole VGG-19's header has about 4 kB; the limit bounds what the JSON reader may allocate.
const MAX_HEADER: u64 = 1 << 20;

/// Bytes before the header.
const LENGTH: usize = 8;

/// A parsed file, its tensors still in place.
pub(super) struct Container<'a> {
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tensors: BTreeMap<String, Stored<'a>>,
}

/// One tensor's bytes; their number fits shape and dtype.
pub(super) struct Stored<'a> {
    pub(super) shape: Vec<usize>,
    dtype: Dtype,
    data: &'a [u8],
}

impl<'a> Container<'a> {
    /// Checks the header against the bytes that are there.
    ///
    /// Not by `SafeTensors::deserialize`: safetensors 0.8.0 adds up the end of the data unchecked, so
    /// that a hostile header overflows there (a panic in debug builds). Its [`Metadata`] checks, when
    /// it is read on its own, that the tensors' ranges follow each other without overlap or hole and
    /// that each fits its shape and dtype.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let (header, data) = split(bytes)?;
        let parsed: Metadata = serde_json::from_slice(header)
            .map_err(|e| format!("its safetensors header is damaged ({e}); get the file again"))?;
        let expected = parsed.data_len();
        if expected != data.len() {
            return Err(format!(
                "its header describes {expected} bytes of tensors, but {} follow it; the file is \
                 {}, so get it again",
                data.len(),
                if data.len() < expected { "truncated" } else { "damaged" }
            ));
        }
        let tensors = parsed.tensors().into_iter().map(|(name, info)| {
            let (from, to) = info.data_offsets;
            let stored = Stored {
                shape: info.shape.clone(),
                dtype: info.dtype,
                data: data.get(from..to).unwrap_or_default(),
            };
            (name, stored)
        });
        Ok(Self {
            tensors: tensors.collect(),
            metadata: parsed
                .metadata()
                .iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        })
    }
}

impl Stored<'_> {
    /// The numbers, row-major. Errors name the dtypes that are read.
    pub(super) fn to_f32(&self) -> Result<Vec<f32>, String> {
        Ok(match self.dtype {
            Dtype::F32 => decode(self.data, f32::from_le_bytes),
            Dtype::F16 => decode(self.data, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => decode(self.data, |b| bf16::from_le_bytes(b).to_f32()),
            other => {
                return Err(format!("is stored as {other:?}; convert it to F32, F16 or BF16"));
            }
        })
    }
}

/// Little-endian elements of `N` bytes each.
fn decode<const N: usize>(data: &[u8], element: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks().0.iter().map(|&bytes| element(bytes)).collect()
}

/// The header and what follows it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        return Err(not_safetensors(bytes));
    };
    if rest.first() != Some(&b'{') {
        return Err(not_safetensors(bytes));
    }
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(format!(
            "its header is said to be {length} bytes long, more than the {MAX_HEADER} that are \
             read; this is no safetensors file of a VGG network, or it is damaged"
        ));
    }
    usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or_else(|| {
        format!(
            "its header is said to be {length} bytes long, but only {} follow; the file is \
                 truncated, so get it again",
            rest.len()
        )
    })
}

/// Says what the bytes are instead, for the kinds of files that people mistake for weights.
fn not_safetensors(bytes: &[u8]) -> String {
    let start = bytes.get(..64).unwrap_or(bytes).trim_ascii_start();
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let pickle = matches!(bytes, [0x80, 2..=5, ..]);
    if bytes.is_empty() {
        "the file is empty; get it again".to_owned()
    } else if bytes.starts_with(b"PK\x03\x04") || pickle {
        format!(
            "this looks like a PyTorch checkpoint (.pth), which can run code when it is read; \
             convert it to safetensors first, in Python: {CONVERT}"
        )
    } else if start.starts_with(b"version https://git-lfs") {
        "this is a Git LFS pointer, not the weights; run `git lfs pull` where it came from"
            .to_owned()
    } else if start.starts_with(b"<") {
        "this is a web page, not weights; the download link has moved or asks for a login"
            .to_owned()
    } else if start.iter().all(is_text) {
        "this is a text file, not safetensors; give a .safetensors file with VGG weights".to_owned()
    } else if bytes.len() <= LENGTH {
        format!("{} bytes are too few for a safetensors file; get it again", bytes.len())
    } else {
        "this is no safetensors file (no header where one must start); give a .safetensors file \
         with VGG weights"
            .to_owned()
    }
}

/// How a checkpoint becomes a safetensors file.
const CONVERT: &str = "safetensors.torch.save_file({k: v.contiguous() for k, v in \
    torch.load(\"vgg19.pth\", weights_only=True).items()}, \"vgg19.safetensors\")";
