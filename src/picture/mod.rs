//! Picture files ↔ planar floats: decode, orient, resize, convert, encode.
//!
//! A [`Picture`] is what the rest of the crate paints with. Its samples are coded as they stand in the file, which is
//! what networks were trained on; what they mean is said by the colour profile in its [`Metadata`], and without one
//! they are sRGB. Only resizing decodes them, to linear light, and codes them again. Everything here works on bytes;
//! files are the caller's.

mod border;
mod carried;
mod colour;
mod decode;
mod encode;
mod exif;
mod join;
mod jpeg;
mod kind;
mod light;
mod metadata;
mod planes;
mod png;
mod profile;
mod refusal;
mod resize;
mod resolution;
mod tiff;
mod xmp;

pub(crate) use border::{mirrored, with_border};

pub use crate::shape::fitted_size;
pub use colour::{Colours, match_colours};
pub use decode::{MAX_PIXELS, MAX_SIDE, probe, settings};
pub use encode::Format;
pub use metadata::Metadata;
pub use planes::{Depth, Picture};
use refusal::refuse;
pub(crate) use resize::resized_plane;
