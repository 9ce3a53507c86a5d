//! Bytes from anywhere: an error each, never a panic and never an allocation the bytes do not back.

use impasto::Error;
use impasto::nets::Network;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::build::{File, assert_refused};

fn load(bytes: &[u8]) -> Result<Network, Error> {
    Network::from_safetensors(bytes, "net.safetensors", None)
}

/// A file with this header and so many zero bytes after it.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn other_kinds_of_files_are_recognised() {
    let pth = b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00vgg19/data.pkl";
    assert_refused(load(pth), &["PyTorch checkpoint", "safetensors.torch.save_file"]);
    assert_refused(load(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."), &["PyTorch checkpoint"]);
    assert_refused(load(b"<!DOCTYPE html><html><head>"), &["web page"]);
    assert_refused(load(b"\n\n  <html>"), &["web page"]);
    assert_refused(load(b"version https://git-lfs.github.com/spec/v1\noid"), &["git lfs pull"]);
    assert_refused(load(b"Entry not found, sorry"), &["text file"]);
    assert_refused(load(b"short"), &["text file"]);
    assert_refused(load(b""), &["empty"]);
    assert_refused(load(b"\xff\xd8\xff\xe0"), &["4 bytes are too few"]);
    assert_refused(load(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"), &["no safetensors file"]);
}

#[test]
fn truncated_files_say_so() {
    let bytes = File::small().bytes();
    for length in 0..bytes.len() {
        let error = load(&bytes[..length]).unwrap_err().to_string();
        let known = ["truncated", "too few", "text file", "empty", "no safetensors"];
        assert!(known.iter().any(|part| error.contains(part)), "{length}: {error}");
    }
    assert_refused(load(&bytes[..bytes.len() - 1]), &["truncated", "bytes of tensors"]);
    assert_refused(load(&bytes[..100]), &["only 92 follow", "truncated"]);
    let longer = [bytes.as_slice(), &[0; 4]].concat();
    assert_refused(load(&longer), &["damaged"]);
}

#[test]
fn lying_header_lengths_are_refused() {
    for length in [1 << 20 | 1, 100_000_001, u64::from(u32::MAX), u64::MAX - 7, u64::MAX] {
        let mut bytes = File::small().bytes();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert_refused(load(&bytes), &[&length.to_string(), "bytes long"]);
    }
    for length in [0u64, 1, 2, 17] {
        let mut bytes = File::small().bytes();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert_refused(load(&bytes), &["header is damaged"]);
    }
}

#[test]
fn lying_headers_are_refused() {
    let entry = |name: &str, shape: &str, from: u64, to: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let refused = |entries: &[String], data: usize, part: &str| {
        let header = format!("{{{}}}", entries.join(","));
        assert_refused(load(&with_header(&header, data)), &[part]);
    };
    let bias = |from, to| entry("conv1_1.bias", "[4]", from, to);
    refused(&[bias(0, 16), entry("conv1_2.bias", "[4]", 8, 24)], 24, "invalid offset");
    refused(&[bias(0, 16), entry("conv1_2.bias", "[4]", 0, 16)], 16, "invalid offset");
    refused(&[bias(0, 16), entry("conv1_2.bias", "[4]", 20, 36)], 36, "invalid offset");
    refused(&[bias(16, 0)], 16, "invalid offset");
    refused(&[bias(0, 20)], 20, "invalid shape");
    refused(&[bias(0, 16)], 12, "truncated");
    refused(&[bias(0, 16), bias(16, 32)], 32, "invalid offset");
    refused(&[entry("conv1_1.bias", "[1000000000]", 0, 4_000_000_000)], 16, "truncated");
    let square = "[4294967296,4294967296,4]";
    refused(&[entry("conv1_1.bias", square, 0, 16)], 16, "header is damaged");
    refused(&[entry("conv1_1.bias", "[-1]", 0, 16)], 16, "header is damaged");
    refused(&[entry("conv1_1.bias", "[4.5]", 0, 16)], 16, "header is damaged");
    refused(&[bias(0, 16).replace("F32", "F99")], 16, "F99");
    refused(&[r#""__metadata__":{"impasto.padding":1}"#.to_owned()], 0, "header is damaged");
    refused(&["[".repeat(10_000)], 0, "header is damaged");
}

#[test]
fn headers_that_are_no_json_are_refused() {
    assert_refused(load(&with_header("{\"a\":\"\u{0}", 0)), &["header is damaged"]);
    assert_refused(load(&[&1u64.to_le_bytes()[..], b"{\xff"].concat()), &["header is damaged"]);
}

/// Ranges that follow each other up to 2^64 − 8, where safetensors 0.8.0 itself overflows.
#[test]
fn ranges_up_to_the_end_of_the_address_space_are_refused() {
    const SIZE: u64 = (1 << 61) - 1;
    let entries: Vec<String> = (0..8)
        .map(|i| {
            let (from, to) = (i * SIZE, (i + 1) * SIZE);
            format!(r#""t{i}":{{"dtype":"U8","shape":[{SIZE}],"data_offsets":[{from},{to}]}}"#)
        })
        .collect();
    let bytes = with_header(&format!("{{{}}}", entries.join(",")), 64);
    assert_refused(load(&bytes), &["truncated"]);
}

/// A few thousand damaged copies of a small file: each is refused, or loads and can be written.
#[test]
fn damaged_copies_never_panic() {
    let file = File::vgg(&[&[2], &[1]])
        .conv("colour", [3, 3, 1, 1])
        .conv("side.relu1_1", [2, 2, 1, 1])
        .meta("impasto.preprocess", r#"{"order":"bgr","scale":[1,2,3],"offset":[4,5,6]}"#)
        .meta("impasto.padding", "reflect");
    let original = file.bytes();
    let header =
        8 + usize::try_from(u64::from_le_bytes(original[..8].try_into().unwrap())).unwrap();
    let mut rng = ChaCha8Rng::from_seed([7; 32]);
    let mut loaded = 0;
    for round in 0..6000 {
        let bytes = damaged(&original, header, &mut rng);
        if let Ok(network) = load(&bytes) {
            loaded += 1;
            let again = network.to_safetensors().unwrap_or_else(|e| panic!("{round}: {e}"));
            let mut again = load(&again).unwrap_or_else(|e| panic!("{round}: {e}"));
            again.preprocess_source = network.preprocess_source;
            assert_eq!(again, network, "round {round}");
        }
    }
    assert!((100..5000).contains(&loaded), "{loaded} of 6000 loaded: the damage is lopsided");
}

/// One to three bytes changed, a cut, a stretch repeated, or digits exchanged in the header.
fn damaged(original: &[u8], header: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let mut below = |limit: usize| rng.next_u64() as usize % limit;
    for _ in 0..=below(3) {
        let end = bytes.len().max(1);
        let near = below(2) == 0;
        let at = below(if near { header } else { end }).min(end - 1);
        match below(8) {
            0 => bytes.truncate(at),
            1 => {
                let tail = bytes[at..].to_vec();
                let stretch = below(tail.len().max(1));
                bytes.splice(at..at, tail[..stretch].iter().copied());
            }
            2 => drop(bytes.splice(at..(at + below(9)).min(bytes.len()), [])),
            _ => {
                let value = below(256) as u8;
                let digit = b'0' + value % 10;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = if byte.is_ascii_digit() { digit } else { value };
                }
            }
        }
    }
    bytes
}
