//! Losses on their way to the host: they gather in a ring on the GPU and are read in batches, so
//! that no step waits for them.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Download, Gpu, KernelId, Shader, Tensor, Value};
use crate::loss::targets::Losses;
use crate::tape::Tape;

/// The shader.
pub static SHADER: Shader = shader!("trace");
static WRITE: KernelId = KernelId::new(&SHADER, "write");

/// Steps that the ring holds.
const ROWS: u64 = 64;
/// A batch is read after so many steps at most: half the ring, so that the second half is written
/// while the first is on its way.
const LONGEST_BATCH: u64 = ROWS / 2;
/// A batch is read when so much time has passed.
const OFTEN: Duration = Duration::from_millis(150);

/// The losses before a step's update: step 0 is the initial picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossRow {
    /// Counted from 0.
    pub step: u64,
    /// The weighted sum.
    pub total: f32,
    /// Unweighted.
    pub content: f32,
    /// Unweighted.
    pub style: f32,
    /// Unweighted.
    pub tv: f32,
    /// From the beginning of the first step until this one was done.
    pub seconds: f64,
}

pub(crate) struct Ring {
    rows: Tensor,
    /// When each step was done, from the first one whose row has not been handed out.
    done_at: VecDeque<f64>,
    /// Steps done; steps that a batch under way covers; steps whose rows were handed out.
    done: u64,
    asked: u64,
    given: u64,
    batch: Option<Download>,
    last_batch: Option<Instant>,
}

impl Ring {
    /// For rows from step `first` on.
    pub fn new(gpu: &Gpu, first: u64) -> Result<Self> {
        Ok(Ring {
            rows: gpu.zeros([ROWS as usize, 4])?,
            done_at: VecDeque::new(),
            done: first,
            asked: first,
            given: first,
            batch: None,
            last_batch: None,
        })
    }

    /// Records the dispatch that writes a step's row.
    pub fn record(&self, tape: &mut Tape, losses: &Losses, clock: &Tensor) -> Result<()> {
        let value = |var| -> Value { tape.value(var).clone() };
        let [total, content, style, variation] =
            [losses.total, losses.content, losses.style, losses.variation].map(value);
        tape.scope("loss");
        let call = tape.recorder().kernel(&WRITE).bind("total", &total).bind("content", &content);
        let call = call.bind("style", &style).bind("variation", &variation);
        let call = call.bind("clock", &clock.into()).bind("ring", &(&self.rows).into());
        call.set("rows", ROWS as usize).groups([1, 1, 1])
    }

    /// Notes that a step is done, `seconds` after the first one began.
    pub fn step_done(&mut self, seconds: f64) {
        self.done += 1;
        self.done_at.push_back(seconds);
    }

    /// Rows that have arrived. Asks for the next batch when it is time; waits only when the ring
    /// would overflow or `all` rows are wanted now.
    pub async fn rows(&mut self, gpu: &Gpu, all: bool) -> Result<Vec<LossRow>> {
        let mut arrived = Vec::new();
        loop {
            let waiting = self.done - self.asked;
            if let Some(mut batch) = self.batch.take() {
                // One step may have been submitted ahead of those that are done.
                let overflowing = self.done + 2 - self.given > ROWS;
                if !(all || overflowing || batch.is_ready()) {
                    self.batch = Some(batch);
                    break;
                }
                let numbers: Vec<f32> = bytemuck::pod_collect_to_vec(&batch.finish(gpu).await?);
                arrived.extend(self.take(&numbers));
            }
            let due = self.last_batch.is_none_or(|at| at.elapsed() >= OFTEN);
            if waiting == 0 || !(all || due || waiting >= LONGEST_BATCH) {
                break;
            }
            self.asked = self.done;
            self.last_batch = Some(Instant::now());
            self.batch = Some(gpu.download(&self.rows.memory, self.rows.shape.bytes()));
            if !all {
                break;
            }
        }
        Ok(arrived)
    }

    fn take(&mut self, numbers: &[f32]) -> Vec<LossRow> {
        let steps = self.given..self.asked;
        self.given = self.asked;
        let row = |step: u64| {
            let at = 4 * (step % ROWS) as usize;
            LossRow {
                step,
                total: numbers[at],
                content: numbers[at + 1],
                style: numbers[at + 2],
                tv: numbers[at + 3],
                seconds: self.done_at.pop_front().unwrap_or_default(),
            }
        };
        steps.map(row).collect()
    }
}
