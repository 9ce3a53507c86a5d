//! Puts a picture four times side by side, to see whether it tiles: `cargo run --example tile -- picture.png tiles.jpg`.

use std::path::Path;

use impasto::picture::{Format, Picture};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = args.as_slice() else {
        return Err("usage: tile <picture> <tiles>".into());
    };
    let picture = Picture::decode(&std::fs::read(from)?, from)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let planes = picture.rgb().chunks_exact(width * height);
    let twice = |plane: &[f32]| -> Vec<f32> {
        plane.chunks_exact(width).flat_map(|row| row.repeat(2)).collect()
    };
    let rgb = planes.flat_map(|plane| twice(plane).repeat(2)).collect();
    let size = (2 * picture.width(), 2 * picture.height());
    let tiles = Picture::from_planes(size, rgb, None, picture.depth())?;
    std::fs::write(to, tiles.encode(Format::from_path(Path::new(to))?)?)?;
    Ok(())
}
