//! Picture files, made here byte by byte: nothing is read from the repository.

mod damage;
mod make;
mod metadata;
mod resize;
mod roundtrip;
