//! Neural neighbours: beside PyTorch, in tiles, behind masks, between styles, and after a break.

#[path = "../common/mod.rs"]
mod common;
mod painting;
mod parts;
mod pytorch;
mod scene;
