//! Paints a photograph in the style of a painting with the library alone, and prints its progress:
//! `cargo run --release --example paint -- PHOTO PAINTING OUT.png`.

use impasto::gpu::{Choice, Gpu};
use impasto::loss::LossSettings;
use impasto::nets::{Graph, default_network};
use impasto::paint::{Start, Verdict};
use impasto::picture::{Format, Picture};
use impasto::session::{Begin, Event, Planner, Scales, Scene, Session};
use pollster::block_on;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [photo, painting, output] = paths.as_slice() else {
        return Err("give a photograph, a painting and a name for the result".into());
    };
    let content = Picture::decode(&std::fs::read(photo)?, photo)?.fitted(512);
    let style = Picture::decode(&std::fs::read(painting)?, painting)?.fitted(512);
    let style = style.into_space_of(&content);
    let loss = LossSettings::default();
    let network = default_network(None)?.truncated(&loss.taps())?;
    let (size, styles) = (content.size(), vec![style.size()]);
    let planner = Planner::new(&network, Scales::Auto, size, styles, loss);
    let scene = Scene::new(content, vec![(style, 1.0)]);
    let (gpu, begin) = (block_on(Gpu::open(&Choice::default()))?, Begin::new(Start::Content, 60));
    let mut session = Session::new(gpu, Graph::new(network)?, scene, planner, begin);
    let mut progress = |event: Event<'_>| {
        if let Event::Losses([.., last]) = event {
            println!("step {}: loss {:.4}, {:.1} s", last.step, last.total, last.seconds);
        }
        Verdict::Continue
    };
    let outcome = block_on(session.run(&mut progress))?;
    std::fs::write(output, outcome.picture.encode(Format::Png)?)?;
    Ok(())
}
