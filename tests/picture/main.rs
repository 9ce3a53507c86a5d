//! Picture files, made here byte by byte: nothing is read from the repository.

mod colour;
mod damage;
mod make;
mod metadata;
mod resize;
mod roundtrip;
