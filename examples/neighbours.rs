//! Paints by neural neighbours with the library alone: every place of a photograph becomes the nearest place of a painting
//! (docs/NEIGHBOURS.md). `cargo run --release --example neighbours -- PHOTO PAINTING OUT.png [SIZE [STEPS [RATE]]]`.

use std::time::Instant;

use impasto::gpu::{Choice, Gpu, Tensor};
use impasto::loss::Pixels;
use impasto::loss::neighbours::{LAYERS, Neighbours, Pool, grid, hypercolumns};
use impasto::nets::{Graph, default_network};
use impasto::ops::{pyramid, weighted_sum};
use impasto::optim::{Method, Optimizer, OptimizerSettings, Variable};
use impasto::picture::{Depth, Format, Picture};
use impasto::tape::Tape;
use pollster::block_on;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// The long side of the smallest size.
const SMALLEST: u32 = 64;
/// Levels of the pyramid whose coefficients are optimised.
const LEVELS: usize = 8;
/// Its finest ones, which the first picture is without, and which a search takes from the photograph.
const FINE: usize = 2;
/// How often neighbours are looked for at a size.
const SEARCHES: u64 = 2;

struct Painter {
    gpu: Gpu,
    graph: Graph,
    steps: u64,
    rate: f32,
}

impl Painter {
    /// The levels of a picture, finest first.
    fn levels(&self, picture: &Picture) -> Fallible<Vec<Vec<f32>>> {
        let mut tape = Tape::new(&self.gpu);
        let picture = tape.constant(&Pixels::of(picture).upload(&self.gpu)?);
        let levels = pyramid::analysis(&mut tape, picture, LEVELS)?;
        let levels = levels.into_iter().map(|level| tape.keep(level));
        let levels = levels.collect::<Result<Vec<_>, _>>()?;
        block_on(tape.finish()?.run())?;
        let read = |level| block_on(self.gpu.read(level));
        Ok(levels.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// What the search takes for the picture: half of what the photograph looks like, and half of what the picture does
    /// with the photograph's finest levels.
    fn looks(&self, content: &Picture, levels: &[Tensor], fine: &[Tensor]) -> Fallible<Tensor> {
        let mut tape = Tape::new(&self.gpu);
        let own = tape.constant(&Pixels::of(content).upload(&self.gpu)?);
        let grid = grid(content.size());
        let own = hypercolumns(&mut tape, &self.graph, &LAYERS, (own, grid.clone()))?;
        let coarse = &levels[fine.len()..];
        let all: Vec<_> = fine.iter().chain(coarse).map(|level| tape.constant(level)).collect();
        let sharp = pyramid::synthesis(&mut tape, &all)?;
        let sharp = hypercolumns(&mut tape, &self.graph, &LAYERS, (sharp, grid))?;
        let looks = weighted_sum(&mut tape, &[(0.5, own), (0.5, sharp)])?;
        let looks = tape.keep(looks)?;
        block_on(tape.finish()?.run())?;
        Ok(looks)
    }

    /// Takes the steps of one size towards neighbours; gives the last loss.
    fn descend(&self, levels: &[Tensor], goal: &Neighbours, steps: u64) -> Fallible<f32> {
        let names: Vec<String> = (0..levels.len()).map(|level| format!("level{level}")).collect();
        let read = |level| block_on(self.gpu.read(level));
        let starts = levels.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let all = names.iter().zip(levels).zip(&starts);
        let all = all.map(|((name, tensor), start)| Variable { name, tensor, start });
        let (method, rate) = (Method::ADAM, self.rate);
        let settings = OptimizerSettings { method, rate, bounds: None, average: false };
        let optimizer = Optimizer::new(&self.gpu, &settings, &all.collect::<Vec<_>>(), None)?;
        let mut tape = Tape::new(&self.gpu);
        let vars: Vec<_> = levels.iter().map(|level| tape.variable(level)).collect();
        let picture = pyramid::synthesis(&mut tape, &vars)?;
        let loss = goal.record(&mut tape, &self.graph, picture)?;
        let gradients = tape.backward(loss)?;
        let mut values = Vec::new();
        for var in vars {
            let gradient = tape.gradient(&gradients, var).ok_or("the loss does not move it")?;
            values.push(tape.value(gradient).clone());
        }
        let value = tape.value(loss).clone();
        optimizer.record(tape.recorder(), &values, &value)?;
        let loss = tape.keep(loss)?;
        let program = tape.finish()?;
        for _ in 0..steps {
            block_on(program.run())?;
        }
        Ok(block_on(self.gpu.read(&loss))?[0])
    }

    /// The picture of these levels, of the photograph's size.
    fn picture(&self, content: &Picture, levels: &[Tensor]) -> Fallible<Picture> {
        let mut tape = Tape::new(&self.gpu);
        let vars: Vec<_> = levels.iter().map(|level| tape.constant(level)).collect();
        let picture = pyramid::synthesis(&mut tape, &vars)?;
        let picture = tape.keep(picture)?;
        block_on(tape.finish()?.run())?;
        let rgb = block_on(self.gpu.read(&picture))?.iter().map(|v| v.clamp(0.0, 1.0)).collect();
        Ok(Picture::from_planes(content.size(), rgb, None, Depth::Eight)?)
    }

    /// Paints at one size, from the picture of the size before.
    fn paint(
        &self,
        content: &Picture,
        style: &Picture,
        before: Option<Picture>,
    ) -> Fallible<Picture> {
        let lap = Instant::now();
        let mut fine = self.levels(content)?;
        let start = match before {
            Some(before) => self.levels(&before.resized(content.width(), content.height()))?,
            None => {
                let last = fine.len().saturating_sub(1).min(FINE);
                let smooth = |(at, level): (usize, &Vec<f32>)| {
                    if at < last { vec![0.0; level.len()] } else { level.clone() }
                };
                fine.iter().enumerate().map(smooth).collect()
            }
        };
        fine.truncate(FINE.min(start.len() - 1));
        let sizes = [content.height() as usize, content.width() as usize];
        let sizes = pyramid::levels(sizes, LEVELS);
        let upload = |levels: &[Vec<f32>]| -> Fallible<Vec<Tensor>> {
            let tensor =
                |([h, w], level): (&[usize; 2], &Vec<f32>)| self.gpu.tensor([3, *h, *w], level);
            Ok(sizes.iter().zip(levels).map(tensor).collect::<Result<_, _>>()?)
        };
        let (levels, fine) = (upload(&start)?, upload(&fine)?);
        let styles = [Pixels::of(style)];
        let pool = block_on(Pool::measure(&self.gpu, &self.graph, &LAYERS, &styles))?;
        let (mut searching, mut loss) = (0.0, 0.0);
        for _ in 0..SEARCHES {
            let looks = self.looks(content, &levels, &fine)?;
            let search = Instant::now();
            let goal = block_on(pool.neighbours(&self.gpu, &looks))?;
            searching += search.elapsed().as_secs_f64();
            loss = self.descend(&levels, &goal, self.steps / SEARCHES)?;
        }
        let ([w, h], seconds) = (content.size().into(), lap.elapsed().as_secs_f64());
        println!("{w}×{h}: loss {loss:.4}, {seconds:.1} s, of these {searching:.1} s searching");
        self.picture(content, &levels)
    }
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photo, painting, output, numbers @ ..] = arguments.as_slice() else {
        return Err("give a photograph, a painting and a name for the result".into());
    };
    let number = |at: usize, other: f32| numbers.get(at).map_or(Ok(other), |text| text.parse());
    let (size, steps, rate) =
        (number(0, 384.0)? as u32, number(1, 100.0)? as u64, number(2, 0.01)?);
    let content = Picture::decode(&std::fs::read(photo)?, photo)?;
    let style = Picture::decode(&std::fs::read(painting)?, painting)?.into_space_of(&content);
    let gpu = block_on(Gpu::open(&Choice::default()))?;
    let graph = Graph::new(default_network(None)?.truncated(&LAYERS)?)?;
    let painter = Painter { gpu, graph, steps, rate };
    let mut scales: Vec<u32> = std::iter::successors(Some(size), |side| Some(side / 2))
        .take_while(|side| *side >= SMALLEST)
        .collect();
    scales.reverse();
    let mut picture = None;
    for scale in scales {
        let (content, style) = (content.clone().fitted(scale), style.clone().fitted(scale));
        picture = Some(painter.paint(&content, &style, picture)?);
    }
    let picture = picture.ok_or("take a size of 64 or more")?;
    std::fs::write(output, picture.encode(Format::Png)?)?;
    Ok(())
}
