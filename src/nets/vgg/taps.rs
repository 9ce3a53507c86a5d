//! What a network offers to the losses, and what it costs to get there.
//!
//! A *depth* is a number of rows of [`Network::layers`], counted from the picture.

use super::network::{Conv, Layer, Network};
use crate::error::{Error, Knob, Result};
use crate::nets::octave;
use crate::ops::Padding;

impl Layer {
    /// The name under which the losses read what follows this layer's ReLU; pools have none.
    pub fn tap(&self) -> Option<String> {
        match self {
            Self::Conv { name, .. } => Some(name.replacen("conv", "relu", 1)),
            Self::Pool { .. } => None,
        }
    }
}

impl Network {
    /// The taps in order: `relu1_1`, `relu1_2`, …
    pub fn taps(&self) -> impl Iterator<Item = String> {
        self.layers.iter().filter_map(Layer::tap)
    }

    /// That `tap` exists: one of [`Network::taps`], or `conv1_1` and its like for what comes before a ReLU.
    ///
    /// # Errors
    /// [`Error::Network`], listing the taps that do.
    pub fn check_tap(&self, tap: &str) -> Result<()> {
        self.depth(&[tap]).map(drop)
    }

    /// How many layers it takes to reach the deepest of `taps`; 0 for none.
    ///
    /// # Errors
    /// As [`Network::check_tap`].
    pub fn depth(&self, taps: &[impl AsRef<str>]) -> Result<usize> {
        let mut depth = 0;
        for tap in taps {
            let (position, _) = self.seen(tap.as_ref()).map_err(|what| self.error(what))?;
            depth = depth.max(position + 1);
        }
        Ok(depth)
    }

    /// Drops the layers and side maps that `taps` do not need.
    ///
    /// # Errors
    /// As [`Network::check_tap`].
    pub fn truncated(mut self, taps: &[impl AsRef<str>]) -> Result<Self> {
        let depth = self.depth(taps)?;
        self.layers.truncate(depth);
        self.sides.retain(|side, _| taps.iter().any(|tap| octave::of(tap.as_ref()).0 == side));
        Ok(self)
    }

    /// Channels of what the losses see at `tap`: the side map's, where there is one.
    ///
    /// # Errors
    /// As [`Network::check_tap`].
    pub fn channels(&self, tap: &str) -> Result<usize> {
        let (_, plain) = self.seen(tap).map_err(|what| self.error(what))?;
        Ok(self.sides.get(octave::of(tap).0).unwrap_or(plain).out_channels)
    }

    /// Multiply-adds per picture pixel of one forward pass: the colour convolution, `depth` layers
    /// and the side maps on the way. Whole VGG-19 to `relu5_1`: 361,152. What pools round away at
    /// the edges still counts.
    pub fn macs_per_pixel(&self, depth: usize) -> f64 {
        self.convs(depth)
            .map(|(conv, pools)| conv.weight.len() as f64 * 0.25f64.powf(pools.into()))
            .sum()
    }

    /// Bytes of the f32 weights and biases that [`Network::macs_per_pixel`] counts with.
    pub fn parameter_bytes(&self, depth: usize) -> usize {
        self.convs(depth)
            .map(|(conv, _)| size_of::<f32>() * (conv.weight.len() + conv.bias.len()))
            .sum()
    }

    /// That a picture of `width` × `height` pixels still has pixels in each of the first `depth`
    /// layers, and as many as the padding reads.
    ///
    /// # Errors
    /// [`Error::Network`] with the smallest size that works.
    pub fn check_size(&self, width: u32, height: u32, depth: usize) -> Result<()> {
        let Some((deepest, _, pools)) = self.layer_convs(depth).last() else {
            return Ok(());
        };
        // A 3×3 kernel mirrors the pixel beside the edge pixel.
        let (pixels, why) = match self.padding {
            Padding::Zero | Padding::Replicate => (1, ""),
            Padding::Reflect => (2, " and reflection padding reads 2 px a side"),
        };
        let least = 2u128.saturating_pow(pools).saturating_mul(pixels);
        if u128::from(width.min(height)) >= least {
            return Ok(());
        }
        Err(self.error(format!(
            "a picture of {width}×{height} px is too small for {deepest}: the picture is halved \
             {pools} times on the way{why}, so both sides must be at least {least} px; take a \
             larger {} or {}, or shallower layers",
            Knob::Size,
            Knob::StyleSize
        )))
    }

    /// The position and the convolution of the layer that `tap` follows.
    pub(super) fn find(&self, tap: &str) -> Result<(usize, &Conv), String> {
        for (position, layer) in self.layers.iter().enumerate() {
            match layer {
                Layer::Conv { conv, .. } if layer.tap().as_deref() == Some(tap) => {
                    return Ok((position, conv));
                }
                _ => {}
            }
        }
        let taps: Vec<String> = self.taps().collect();
        Err(format!("there is no tap `{tap}`; the network has {}", taps.join(", ")))
    }

    /// As [`Network::find`], also for what the losses can see before a ReLU: `conv1_1`.
    fn seen(&self, tap: &str) -> Result<(usize, &Conv), String> {
        let (tap, _) = octave::of(tap);
        let plain = |layer: &Layer| matches!(layer, Layer::Conv { name, .. } if name == tap);
        match self.layers.iter().find(|layer| plain(layer)).and_then(Layer::tap) {
            Some(after) => self.find(&after),
            None => self.find(tap),
        }
    }

    /// Name and weights of the convolutions among the first `depth` layers, each with the number of
    /// pools before it.
    fn layer_convs(&self, depth: usize) -> impl Iterator<Item = (&str, &Conv, u32)> {
        let mut pools = 0;
        self.layers.iter().take(depth).filter_map(move |layer| match layer {
            Layer::Conv { name, conv } => Some((name.as_str(), conv, pools)),
            Layer::Pool { .. } => {
                pools += 1;
                None
            }
        })
    }

    /// Everything that runs within `depth` layers, side maps and colour convolution included, each
    /// with the number of pools before it.
    fn convs(&self, depth: usize) -> impl Iterator<Item = (&Conv, u32)> {
        let colour = self.colour.iter().map(|conv| (conv, 0));
        let layers = self.layer_convs(depth).map(|(_, conv, pools)| (conv, pools));
        let sides = self.layer_convs(depth).filter_map(|(name, _, pools)| {
            let tap = name.replacen("conv", "relu", 1);
            Some((self.sides.get(&tap)?, pools))
        });
        colour.chain(layers).chain(sides)
    }

    /// An error in this network's name.
    pub(super) fn error(&self, what: String) -> Error {
        Error::Network { name: self.name.clone(), what }
    }
}
