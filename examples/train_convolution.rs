//! Trains a small network by gradient descent on its weights, with the library alone: two convolutions learn to take
//! horizontal differences of pictures. Prints the loss of every tenth step.
//!
//! ```sh
//! cargo run --release --example train_convolution
//! ```
//!
//! A batch is three replays of one recording. Each adds to the gradients, and the optimiser runs with the last. The rate
//! is a number on the GPU: a schedule rewrites it. `tests/golden/train_convolution.py` is the same in PyTorch.

use impasto::Result;
use impasto::gpu::{Choice, Gpu, Phase, Tensor, Value};
use impasto::ops::{self, Conv2d};
use impasto::optim::{Optimizer, OptimizerSettings, Variable};
use impasto::tape::{Tape, Var};

const HEIGHT: usize = 24;
const WIDTH: usize = 32;
const BATCH: usize = 3;
const RATE: f32 = 0.01;

/// Numbers between −1 and 1 that look random, from integers, so that they are the same everywhere.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * i + 7 * i * seed + 13 * seed) % 101) as f32 / 50.0 - 1.0).collect()
}

/// What the network learns: every pixel's right neighbour less its left one, with zeros around the picture.
fn differences(pixels: &[f32]) -> Vec<f32> {
    let at = |row: &[f32], x: usize| row.get(x).copied().unwrap_or(0.0);
    let of = |row: &[f32], x: usize| at(row, x + 1) - at(row, x.wrapping_sub(1));
    pixels.chunks(WIDTH).flat_map(|row| (0..WIDTH).map(move |x| of(row, x))).collect()
}

/// Takes so many steps and gives the loss before each.
pub async fn train(gpu: &Gpu, steps: usize) -> Result<Vec<f32>> {
    let picture = gpu.zeros([3, HEIGHT, WIDTH])?;
    let target = gpu.zeros([3, HEIGHT, WIDTH])?;
    let mean = gpu.zeros([1])?;
    let starts: Vec<Vec<f32>> = [(216, 1, 0.3), (8, 2, 0.1), (216, 3, 0.2), (3, 4, 0.1)]
        .map(|(count, seed, size)| numbers(count, seed).iter().map(|v| size * v).collect())
        .to_vec();
    let weights =
        [gpu.zeros([8, 3, 3, 3])?, gpu.zeros([8])?, gpu.zeros([3, 8, 3, 3])?, gpu.zeros([3])?];
    let names = ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"];

    // The network and its loss, of one picture.
    let mut tape = Tape::new(gpu);
    let (x, wanted) = (tape.constant(&picture), tape.constant(&target));
    let [w1, b1, w2, b2] = [0, 1, 2, 3].map(|at| tape.variable(&weights[at]));
    let relu = Conv2d { relu: true, ..Conv2d::default() };
    let hidden = ops::conv2d(&mut tape, x, w1, Some(b1), relu)?;
    let y = ops::conv2d(&mut tape, hidden, w2, Some(b2), Conv2d::default())?;
    let loss = ops::absolute_error(&mut tape, y, wanted, 1.0 / (3 * HEIGHT * WIDTH) as f32)?;

    // Every replay adds its share of the mean loss and of the gradients.
    let share = 1.0 / BATCH as f32;
    tape.add_into(loss, share, &mean)?;
    let sums = weights.each_ref().map(|tensor| gpu.zeros(tensor.shape().clone()));
    let sums: Vec<Tensor> = sums.into_iter().collect::<Result<_>>()?;
    let pairs: Vec<(Var, &Tensor)> = [w1, b1, w2, b2].into_iter().zip(&sums).collect();
    tape.backward_into(loss, share, &pairs)?;

    // The optimiser runs with the last.
    let variable =
        |at: usize| Variable { name: names[at], tensor: &weights[at], start: &starts[at] };
    let variables = [0, 1, 2, 3].map(variable);
    let optimizer = Optimizer::new(gpu, &OptimizerSettings::adam(RATE), &variables, None)?;
    let gradients: Vec<Value> = sums.iter().map(Value::from).collect();
    tape.recorder().phase = Phase::Last;
    optimizer.record(tape.recorder(), &gradients, &(&mean).into())?;
    let program = tape.finish()?;

    let mut losses = Vec::new();
    for step in 0..steps {
        gpu.write(optimizer.rate(), &[RATE * 0.99_f32.powi(step as i32)])?;
        for at in 0..BATCH {
            let pixels = numbers(3 * HEIGHT * WIDTH, 5 + at + BATCH * (step % 4));
            gpu.write(&picture, &pixels)?;
            gpu.write(&target, &differences(&pixels))?;
            gpu.finished(program.submit_in_batch(at, BATCH)).await?;
        }
        losses.push(gpu.read(&mean).await?[0]);
    }
    Ok(losses)
}

fn main() -> Result<()> {
    let gpu = pollster::block_on(Gpu::open(&Choice::default()))?;
    let losses = pollster::block_on(train(&gpu, 200))?;
    for (step, loss) in losses.iter().enumerate().step_by(10) {
        println!("step {step:3}  loss {loss:.6}");
    }
    Ok(())
}
