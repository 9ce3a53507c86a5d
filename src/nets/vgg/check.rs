//! What must hold for every network, whether it was read, made or put together by hand.

use super::network::{Conv, Layer, Network};

/// Far above any VGG (512), far below what overflows a product of two channel counts and a kernel.
const MAX_CHANNELS: usize = 4096;

impl Conv {
    /// That this convolution is usable where it stands. `tensor` is what messages call it (the name
    /// of its tensors without `.weight`), `kernel` the side it must have, and `takes` the channels
    /// it is given by `giver`.
    pub(super) fn check(
        &self,
        tensor: &str,
        kernel: usize,
        takes: usize,
        giver: &str,
    ) -> Result<(), String> {
        let shape = self.shape();
        if shape.iter().any(|&extent| extent == 0 || extent > MAX_CHANNELS) {
            return Err(format!(
                "`{tensor}.weight` has shape {shape:?}; every extent must be from 1 to {MAX_CHANNELS}"
            ));
        }
        if self.kernel != kernel {
            return Err(format!(
                "`{tensor}.weight` has shape {shape:?}, but its kernel must be {kernel}×{kernel}; \
                 only networks of the VGG family can be used"
            ));
        }
        if self.in_channels != takes {
            return Err(format!(
                "`{tensor}.weight` has shape {shape:?} and takes {} channels, but {giver} gives \
                 {takes}; the file mixes networks, or is for another kind of picture",
                self.in_channels
            ));
        }
        self.check_values(tensor)
    }

    /// That there are as many numbers as the shape says, all of them finite.
    fn check_values(&self, tensor: &str) -> Result<(), String> {
        let shape = self.shape();
        let elements: usize = shape.iter().product();
        for (part, values, expected) in
            [("weight", &self.weight, elements), ("bias", &self.bias, self.out_channels)]
        {
            if values.len() != expected {
                return Err(format!(
                    "`{tensor}.{part}` has {} values, but a weight of shape {shape:?} goes with \
                     {expected}",
                    values.len()
                ));
            }
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(format!(
                    "`{tensor}.{part}` holds {} at element {at}; the file is damaged or the \
                     training diverged, so get or export it again",
                    values[at]
                ));
            }
        }
        Ok(())
    }
}

impl Network {
    /// That the table is one that a file can hold: layers numbered without gaps, a pool exactly
    /// where the block changes, channels that fit.
    pub(super) fn check(&self) -> Result<(), String> {
        self.preprocess.check()?;
        let mut expected = Position { block: 1, index: 1 };
        let mut width = 3;
        let mut giver = "the picture";
        if let Some(colour) = &self.colour {
            colour.check_colour()?;
        }
        for layer in &self.layers {
            match layer {
                Layer::Conv { name, conv } => {
                    if *name != expected.conv() {
                        return Err(format!(
                            "layer `{name}` stands where `{}` must",
                            expected.conv()
                        ));
                    }
                    conv.check(name, 3, width, giver)?;
                    width = conv.out_channels;
                    giver = name;
                    expected.index += 1;
                }
                Layer::Pool { name } => {
                    if expected.index == 1 || *name != format!("pool{}", expected.block) {
                        return Err(format!(
                            "layer `{name}` stands where `{}` must",
                            expected.conv()
                        ));
                    }
                    expected = expected.next_block();
                }
            }
        }
        if expected.index == 1 {
            return Err("the network must have layers and end with a convolution".to_owned());
        }
        for (tap, side) in &self.sides {
            let (_, plain) = self.find(tap)?;
            side.check(&format!("side.{tap}"), 1, plain.out_channels, &format!("`{tap}`"))?;
        }
        Ok(())
    }
}

impl Conv {
    /// [`Conv::check`] for the colour convolution: 1×1, from 3 channels to 3.
    pub(super) fn check_colour(&self) -> Result<(), String> {
        self.check("colour", 1, 3, "the picture")?;
        if self.out_channels == 3 {
            return Ok(());
        }
        Err(format!(
            "`colour.weight` has shape {:?}, but must be [3, 3, 1, 1]: colours in, colours out",
            self.shape()
        ))
    }
}

/// Where a convolution stands: `conv{block}_{index}`, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) block: u32,
    pub(super) index: u32,
}

impl Position {
    /// `conv3_1`.
    pub(super) fn conv(self) -> String {
        format!("conv{}_{}", self.block, self.index)
    }

    /// The first place after the next pool.
    pub(super) fn next_block(self) -> Self {
        Self { block: self.block.saturating_add(1), index: 1 }
    }

    /// The next place before a pool.
    pub(super) fn next_in_block(self) -> Self {
        Self { block: self.block, index: self.index.saturating_add(1) }
    }
}
