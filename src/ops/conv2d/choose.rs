//! Which variant takes a convolution: what was forced, what the tuner found, what suits the device; and what takes
//! its place where it can't.

use super::convolution::Convolution;
use super::settings::{Class, Conv2d, Direction, Extents, Variant};
use super::{broadcast, cooperative, pointwise, tiled, uniform, winograd};
use crate::error::Result;
use crate::gpu::{Gpu, Recorder};
use crate::shape::Precision;
use crate::tape::inplace;

/// On GPUs, results with fewer channels would leave most of a tile empty: the gradient to the
/// picture, which has three.
const LEAST_TILED_CHANNELS: usize = 8;

impl Variant {
    /// Those that compute a direction. The others give way there to one of these.
    pub fn of(direction: Direction) -> &'static [Self] {
        match direction {
            Direction::Forward | Direction::Input => &Self::ALL,
            Direction::Weight => &[Self::Broadcast, Self::Tiled, Self::Baseline],
        }
    }

    /// Those that may be the fastest on a device. On GPUs the baseline is tried only where it is the default
    /// too: a wide layer would keep a slow one busy until its watchdog bites.
    pub(crate) fn candidates(gpu: &Gpu, class: &Class) -> &'static [Self] {
        let narrow = |least| class.inputs.min(class.outputs) < least;
        match gpu.is_cpu() {
            _ if class.direction == Direction::Weight => match gpu.broadcasts() {
                true if class.is_plain() => &[Self::Broadcast],
                _ => &[Self::Tiled],
            },
            // Matrix products know themselves which kernel suits.
            _ if !class.is_plain() => &[Self::Baseline],
            true if class.outputs < broadcast::LEAST_CHANNELS => &[Self::Uniform],
            true if gpu.broadcasts() && narrow(winograd::LEAST_CHANNELS) => {
                &[Self::Broadcast, Self::Uniform]
            }
            true if gpu.broadcasts() => &[Self::Broadcast, Self::Winograd],
            true => &[Self::Uniform, Self::Winograd],
            false if class.outputs < LEAST_TILED_CHANNELS => &[Self::Tiled, Self::Baseline],
            false if cooperative::is_there(gpu, class.precision) => {
                &[Self::Tiled, Self::Cooperative]
            }
            false => &[Self::Tiled],
        }
    }

    /// What takes its place where it can't take a convolution.
    fn fallback(self) -> Self {
        match self {
            Self::Winograd | Self::Broadcast => Self::Uniform,
            Self::Uniform | Self::Cooperative => Self::Tiled,
            Self::Tiled | Self::Baseline => Self::Baseline,
        }
    }
}

impl Class {
    /// What suits a wide one that no [`Convolution`] describes.
    fn widest(&self, gpu: &Gpu) -> Variant {
        let lanes = self.direction == Direction::Weight && self.is_plain() && gpu.broadcasts();
        if lanes { Variant::Broadcast } else { Variant::Tiled }
    }
}

impl Convolution<'_> {
    /// Records it with the variant asked for, or the one that suits the device; `false` when that is
    /// the baseline.
    pub fn record(&self, recorder: &mut Recorder, forced: Option<Variant>) -> Result<bool> {
        let variant = self.choose(recorder.gpu(), forced);
        if self.kernel() == 1 && variant != Variant::Baseline {
            let for_gpus = matches!(variant, Variant::Tiled | Variant::Cooperative);
            pointwise::record(self, recorder, !for_gpus)?;
            return Ok(true);
        }
        match variant {
            Variant::Baseline => return Ok(false),
            Variant::Broadcast => broadcast::record(self, recorder)?,
            Variant::Winograd => winograd::record(self, recorder)?,
            Variant::Uniform => uniform::record(self, recorder)?,
            Variant::Cooperative => cooperative::record(self, recorder)?,
            Variant::Tiled => tiled::record(self, recorder)?,
        }
        if !matches!(variant, Variant::Broadcast | Variant::Winograd) {
            inplace::masked(recorder, self.mask, self.y)?;
        }
        Ok(true)
    }

    fn choose(&self, gpu: &Gpu, forced: Option<Variant>) -> Variant {
        let suited = || match (gpu.is_cpu(), self.out_channels()) {
            (true, _) if winograd::pays(gpu, self) => Variant::Winograd,
            (true, _) if broadcast::pays(gpu, self) => Variant::Broadcast,
            (true, _) => Variant::Uniform,
            (false, channels) if channels < LEAST_TILED_CHANNELS => Variant::Baseline,
            (false, _) => Variant::Tiled,
        };
        let tuned = || gpu.choice(&self.class().to_string())?.parse::<Variant>().ok();
        let mut variant = forced.or_else(tuned).unwrap_or_else(suited);
        // Every variant takes a matrix product as what it is.
        while self.kernel() == 3 && !self.fits(gpu, variant) {
            variant = variant.fallback();
        }
        variant
    }

    fn fits(&self, gpu: &Gpu, variant: Variant) -> bool {
        match variant {
            Variant::Winograd => winograd::fits(self),
            Variant::Broadcast => broadcast::fits(gpu, self),
            Variant::Uniform => uniform::fits(self),
            Variant::Cooperative => cooperative::is_there(gpu, self.x.precision()),
            Variant::Tiled | Variant::Baseline => true,
        }
    }

    /// What the tuner knows it by.
    fn class(&self) -> Class {
        Class {
            inputs: self.in_channels(),
            outputs: self.out_channels(),
            direction: if self.transposed { Direction::Input } else { Direction::Forward },
            kernel: self.kernel(),
            stride: 1,
            padding: self.kernel() / 2,
            precision: self.x.precision(),
            size: self.size(),
        }
    }
}

impl Conv2d {
    /// The variant for what no [`Convolution`] describes: any kernel and stride, or the gradient to the weights.
    pub(super) fn choose(
        &self,
        gpu: &Gpu,
        extents: &Extents,
        direction: Direction,
        precision: Precision,
    ) -> Variant {
        let class = self.class(extents, direction, precision);
        let weight = direction == Direction::Weight;
        let tuned = || gpu.choice(&class.to_string())?.parse::<Variant>().ok();
        // Most of a tile would be empty.
        let narrow = !weight && class.outputs < LEAST_TILED_CHANNELS;
        let suited = || if narrow { Variant::Baseline } else { class.widest(gpu) };
        match self.variant.or_else(tuned).unwrap_or_else(suited) {
            Variant::Baseline => Variant::Baseline,
            Variant::Tiled | Variant::Cooperative => Variant::Tiled,
            // Of these only the first has a kernel for the gradient to the weights.
            Variant::Broadcast | Variant::Uniform | Variant::Winograd => class.widest(gpu),
        }
    }

    fn class(&self, extents: &Extents, direction: Direction, precision: Precision) -> Class {
        let ([c, ..], [o, h, w]) = (extents.input, extents.output);
        let (inputs, outputs) = if direction == Direction::Input { (o, c) } else { (c, o) };
        let (kernel, stride, padding) = (extents.kernel, self.stride, self.padding);
        Class { inputs, outputs, direction, kernel, stride, padding, precision, size: [h, w] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tuner_tells_kernels_strides_and_directions_apart() {
        let plain = Class {
            inputs: 64,
            outputs: 128,
            direction: Direction::Forward,
            kernel: 3,
            stride: 1,
            padding: 1,
            precision: Precision::F32,
            size: [300, 256],
        };
        // What users' caches hold.
        assert_eq!(plain.to_string(), "conv2d 64→128 2^16 forward");
        let back = Class { direction: Direction::Input, precision: Precision::F16, ..plain };
        assert_eq!(back.to_string(), "conv2d 64→128 2^16 backward f16");
        let other =
            Class { direction: Direction::Weight, kernel: 5, stride: 2, padding: 2, ..plain };
        assert_eq!(other.to_string(), "conv2d 64→128 2^16 weight 5×5/2 pad 2");
    }
}
