//! Weights in the order in which a variant reads them. Frozen ones are packed once a device, variable ones in
//! every replay, by the same kernels.

use super::convolution::Convolution;
use crate::error::Result;
use crate::gpu::shader;
use crate::gpu::{Call, Frozen, Gpu, KernelId, Recorder, Shader, Value};
use crate::ops::matmul::Left;
use crate::ops::product::{self, RUN};
use crate::shape::Precision;

pub(super) static SHADER: Shader = shader!("conv2d_pack");
static LANES: KernelId = KernelId::new(&SHADER, "lanes");
static WINDOWS: KernelId = KernelId::new(&SHADER, "windows");
static FRAGMENTS: KernelId = KernelId::new(&SHADER, "fragments");
static WINOGRAD: KernelId = KernelId::new(&SHADER, "winograd");
static WINOGRAD_DEEP: KernelId = KernelId::new(&SHADER, "winograd_deep");

/// Products of a tile of Winograd's: 6×6.
const POINTS: usize = 36;

/// By block of outputs, input (padded to so many), tap, output of the block.
pub(super) fn lanes(
    conv: &Convolution<'_>,
    recorder: &mut Recorder,
    name: &str,
    [block, inputs]: [usize; 2],
) -> Result<Value> {
    let count = conv.out_channels().next_multiple_of(block) * inputs * 9;
    packed(conv, recorder, name, (Precision::F32, count), |recorder, weight, packed| {
        conv.pack(recorder, &LANES, (weight, packed), [count, block, inputs])
    })
}

/// By window, as the uniform variant cuts them: `blocks` of 8 outputs times `inputs` each; `count` numbers, in a
/// buffer of `length`.
pub(super) fn windows(
    conv: &Convolution<'_>,
    recorder: &mut Recorder,
    [blocks, inputs]: [usize; 2],
    [count, length]: [usize; 2],
) -> Result<Value> {
    let name = format!("uniform, {blocks} blocks of {inputs}");
    packed(conv, recorder, &name, (Precision::F32, length), |recorder, weight, packed| {
        conv.pack(recorder, &WINDOWS, (weight, packed), [count, blocks, inputs])
    })
}

/// By fragment of `side`×`side` weights of a tap, as f16; outputs are padded to `outputs`.
pub(super) fn fragments(
    conv: &Convolution<'_>,
    recorder: &mut Recorder,
    [side, outputs]: [usize; 2],
) -> Result<Value> {
    let inputs = conv.in_channels().next_multiple_of(side);
    let count = outputs * inputs * 9;
    let name = format!("cooperative, {side}");
    packed(conv, recorder, &name, (Precision::F16, count), |recorder, weight, packed| {
        conv.pack(recorder, &FRAGMENTS, (weight, packed), [count, side, inputs])
    })
}

/// A 1×1 kernel, as [`product`] takes matrices.
pub(super) fn matrix(conv: &Convolution<'_>, recorder: &mut Recorder) -> Result<Value> {
    let (c, o) = (conv.in_channels(), conv.out_channels());
    let length = product::length(1, o, c);
    packed(conv, recorder, "product", (Precision::F32, length), |recorder, weight, packed| {
        let [rows, columns] = if conv.transposed { [c, o] } else { [o, c] };
        let matrix = &Value { shape: [rows, columns].into(), ..weight.clone() };
        let left = Left { transposed: conv.transposed, ..Left::plain(matrix) };
        left.pack_into(recorder, packed)
    })
}

/// Winograd's transform of the filters, 36 matrices as [`product`] takes them, or with the output channels as
/// pixels, in runs. Of frozen weights it is made on the host, once, in f64, which no shader has.
pub(super) fn winograd(
    conv: &Convolution<'_>,
    recorder: &mut Recorder,
    deep: bool,
) -> Result<Value> {
    let (c, o) = (conv.in_channels(), conv.out_channels());
    let runs = o.div_ceil(RUN);
    let (name, plane, length) = match deep {
        true => ("deep winograd", runs * c * RUN, POINTS * runs * c * RUN),
        false => ("winograd", product::blocks_length(o, c), product::length(POINTS, o, c)),
    };
    let place = |point, out, i| match deep {
        true => ((point * runs + out / RUN) * c + i) * RUN + out % RUN,
        false => point * plane + product::place(out, i, c),
    };
    let mut transformed = match conv.weight.frozen() {
        Some(frozen) => {
            let pack = |numbers: &[f32]| conv.transformed(numbers, length, place);
            let memory = frozen.upload(recorder.gpu(), &conv.packing(name), pack)?;
            Value::owned([length].into(), memory)
        }
        None => {
            let value = recorder.temporary([length]);
            let kernel = if deep { &WINOGRAD_DEEP } else { &WINOGRAD };
            let call = recorder.kernel(kernel).bind("weight", conv.weight);
            let call = call.bind("transformed", &value);
            conv.settings(call, [plane, 0, 0]).over(plane)?;
            value
        }
    };
    if deep {
        transformed.shape = [POINTS, runs, c, RUN].into();
    }
    Ok(transformed)
}

/// What `record` makes of the weights, so many numbers, stored so.
fn packed(
    conv: &Convolution<'_>,
    recorder: &mut Recorder,
    name: &str,
    (precision, numbers): (Precision, usize),
    record: impl FnOnce(&mut Recorder, &Value, &Value) -> Result<()>,
) -> Result<Value> {
    let Some(frozen) = conv.weight.frozen() else {
        let packed = recorder.temporary_in(precision, [numbers]);
        record(recorder, conv.weight, &packed)?;
        return Ok(packed);
    };
    let gpu = recorder.gpu();
    let memory = frozen.packed(gpu, &conv.packing(name), || {
        let memory = gpu.allocate(name, precision.bytes() * numbers as u64)?;
        let packed = Value { precision, ..Value::owned([numbers].into(), memory.clone()) };
        once(gpu, frozen, &packed, record)?;
        Ok(memory)
    })?;
    Ok(Value { precision, ..Value::owned([numbers].into(), memory) })
}

/// Has frozen weights packed now. They are on the device only until then.
fn once(
    gpu: &Gpu,
    frozen: &Frozen,
    packed: &Value,
    record: impl FnOnce(&mut Recorder, &Value, &Value) -> Result<()>,
) -> Result<()> {
    let plain = gpu.tensor(frozen.shape().clone(), frozen.data())?;
    let mut recorder = Recorder::new(gpu);
    record(&mut recorder, &(&plain).into(), packed)?;
    recorder.finish()?.submit();
    Ok(())
}

impl Convolution<'_> {
    /// The name of a packing of these weights.
    fn packing(&self, name: &str) -> String {
        format!("{name}{}", if self.transposed { ", transposed" } else { "" })
    }

    fn pack(
        &self,
        recorder: &mut Recorder,
        kernel: &'static KernelId,
        (weight, packed): (&Value, &Value),
        [count, block, inputs]: [usize; 3],
    ) -> Result<()> {
        let call = recorder.kernel(kernel).bind("weight", weight).bind("packed", packed);
        self.settings(call, [count, block, inputs]).over(count)
    }

    fn settings<'r>(&self, call: Call<'r>, [count, block, inputs]: [usize; 3]) -> Call<'r> {
        let call = call.set("out_channels", self.out_channels());
        let call = call.set("in_channels", self.in_channels()).set("transposed", self.transposed);
        call.set("count", count).set("block", block).set("inputs", inputs)
    }

    /// The weight of a 3×3 kernel from channel `i` of x to channel `o` of y at a tap, in the layer's numbers.
    fn tap(&self, numbers: &[f32], o: usize, i: usize, row: usize, column: usize) -> f32 {
        let (outer, inner, row, column) = match self.transposed {
            false => (o, i, row, column),
            true => (i, o, 2 - row, 2 - column),
        };
        let inners = self.weight.shape().dims()[1];
        numbers[((outer * inners + inner) * 3 + row) * 3 + column]
    }

    /// G w Gᵀ for every pair of channels, in f64: `length` numbers, that of a point, an output channel and an input
    /// channel at `place`.
    fn transformed(
        &self,
        numbers: &[f32],
        length: usize,
        place: impl Fn(usize, usize, usize) -> usize,
    ) -> Vec<f32> {
        let (g, mut packed) = (filter_transform(), vec![0.0; length]);
        for out in 0..self.out_channels() {
            for i in 0..self.in_channels() {
                let tap = |row, column| f64::from(self.tap(numbers, out, i, row, column));
                for (k, row) in g.iter().enumerate() {
                    let line: [f64; 3] =
                        std::array::from_fn(|column| (0..3).map(|r| row[r] * tap(r, column)).sum());
                    for (l, column) in g.iter().enumerate() {
                        let sum: f64 = (0..3).map(|s| line[s] * column[s]).sum();
                        packed[place(6 * k + l, out, i)] = sum as f32;
                    }
                }
            }
        }
        packed
    }
}

/// G of F(4, 3) at the points 0, ±1/√2, ±√2, ∞: a row (1, p, p²) over the product of p's distances to
/// the others.
fn filter_transform() -> [[f64; 3]; 6] {
    let (near, far) = (0.5_f64, 2.0_f64);
    let row = |point: f64, over: f64| [1.0 / over, point / over, point * point / over];
    let (over_near, over_far) = (2.0 * near * (near - far), 2.0 * far * (far - near));
    [
        row(0.0, near * far),
        row(near.sqrt(), over_near),
        row(-near.sqrt(), over_near),
        row(far.sqrt(), over_far),
        row(-far.sqrt(), over_far),
        [0.0, 0.0, 1.0],
    ]
}
