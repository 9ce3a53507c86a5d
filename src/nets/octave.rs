//! Octaves: a network that looks at a picture at half its size sees twice as far, and at a quarter four times (Snelgrove,
//! "High-Resolution Multi-Scale Neural Texture Synthesis", SIGGRAPH Asia 2017). Octave 0 is the picture itself.
//!
//! A layer of an octave is a tap like any other: `relu3_1@2` is `relu3_1` of the picture at a quarter of its size.

use super::reach::Step;
use crate::ops::downsample::WINDOW;

/// What halves the picture, as tiles and plans see it.
pub(crate) const HALF: Step =
    Step::Window { kernel: WINDOW[0], stride: WINDOW[1], padding: WINDOW[2] };

/// Between a layer and its octave.
const AT: char = '@';

/// The tap of a layer at an octave.
pub(crate) fn tap(layer: &str, octave: usize) -> String {
    match octave {
        0 => layer.into(),
        _ => format!("{layer}{AT}{octave}"),
    }
}

/// The layer of a tap, and its octave.
pub(crate) fn of(tap: &str) -> (&str, usize) {
    let parts = tap.split_once(AT).and_then(|(layer, at)| Some((layer, at.parse().ok()?)));
    parts.unwrap_or((tap, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_read_as_they_are_written() {
        for (layer, octave) in [("relu1_1", 0), ("relu3_1", 1), ("conv4_1", 12)] {
            assert_eq!(of(&tap(layer, octave)), (layer, octave));
        }
        assert_eq!(tap("relu3_1", 0), "relu3_1");
        assert_eq!(of("relu3_1@half"), ("relu3_1@half", 0));
    }
}
