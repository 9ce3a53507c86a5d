//! Training: the example's losses against PyTorch's, which `tests/golden/train_convolution.py` made.

mod common;
#[allow(dead_code)] // Its main.
#[path = "../examples/train_convolution.rs"]
mod train_convolution;

use common::gpu;
use impasto::Result;
use serde::Deserialize;
use train_convolution::train;

#[derive(Deserialize)]
struct Row {
    step: usize,
    loss: f32,
}

#[test]
fn a_small_network_learns_as_in_pytorch() -> Result<()> {
    let golden = include_str!("golden/train_convolution.jsonl");
    let rows: Vec<Row> =
        golden.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    let losses = pollster::block_on(train(gpu(), rows.len()))?;
    for (row, loss) in rows.iter().zip(&losses) {
        let difference = (loss / row.loss - 1.0).abs();
        // Rounding grows from step to step.
        let allowed = if row.step < 10 { 1e-4 } else { 0.05 };
        assert!(difference < allowed, "step {}: {loss} instead of {}", row.step, row.loss);
    }
    // The same bits in a second run.
    assert_eq!(pollster::block_on(train(gpu(), 20))?, losses[..20]);
    Ok(())
}
