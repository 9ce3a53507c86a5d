//! How far a chain of layers looks, and how its maps lie over the picture: what tiles and memory plans must know of a
//! network, whatever its kernels, strides and upsamplings are.

use std::ops::Range;

/// What a layer does along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A convolution or a pool.
    Window {
        /// Pixels that one of its map is made from.
        kernel: usize,
        /// From one window to the next.
        stride: usize,
        /// Pixels that are added before the first and after the last.
        padding: usize,
    },
    /// Every pixel becomes so many.
    Upsample(usize),
}

impl Step {
    /// The pixels of the map that comes of `length` pixels.
    pub fn output(self, length: usize) -> usize {
        match self {
            Step::Window { kernel, stride, padding } => {
                let windows = (length + 2 * padding).checked_sub(kernel);
                windows.map_or(0, |rest| rest / stride + 1)
            }
            Step::Upsample(factor) => length * factor,
        }
    }

    /// Pixels of its map for each of the one before, about.
    pub fn scale(self) -> f64 {
        match self {
            Step::Window { stride, .. } => 1.0 / stride as f64,
            Step::Upsample(factor) => factor as f64,
        }
    }

    /// The first and the last pixel that those from `first` to `last` depend on; padding may lie below 0.
    fn input(self, [first, last]: [i64; 2]) -> [i64; 2] {
        match self {
            Step::Window { kernel, stride, padding } => {
                let [kernel, stride, padding] = [kernel, stride, padding].map(|v| v as i64);
                [first * stride - padding, last * stride - padding + kernel - 1]
            }
            Step::Upsample(factor) => [first, last].map(|pixel| pixel.div_euclid(factor as i64)),
        }
    }
}

/// How far a network looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Tiles begin at multiples of so many pixels of the picture: there, a pixel begins in every map on the way.
    pub stride: usize,
    /// Pixels that the last map depends on, on each side of the strides that it stands for.
    pub halo: usize,
}

impl Reach {
    /// What is enough for both.
    #[must_use]
    pub fn and(self, other: Reach) -> Reach {
        let stride = self.stride / common_factor(self.stride, other.stride) * other.stride;
        Reach { stride, halo: self.halo.max(other.halo) }
    }
}

/// The layers up to a map, the picture's first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain(Vec<Step>);

impl Chain {
    /// One layer after the other.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Chain(steps.into_iter().collect())
    }

    /// Number of layers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the picture itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The length of the map of a picture that is `length` long.
    pub fn output(&self, length: usize) -> usize {
        self.0.iter().fold(length, |length, step| step.output(length))
    }

    /// How many pixels of the map stand for how many of the picture, reduced.
    pub fn ratio(&self) -> (usize, usize) {
        self.ratios().last().unwrap_or((1, 1))
    }

    fn ratios(&self) -> impl Iterator<Item = (usize, usize)> {
        self.0.iter().scan((1, 1), |(map, picture), step| {
            match step {
                Step::Window { stride, .. } => *picture *= stride,
                Step::Upsample(factor) => *map *= factor,
            }
            let common = common_factor(*map, *picture);
            (*map, *picture) = (*map / common, *picture / common);
            Some((*map, *picture))
        })
    }

    /// How far the map looks.
    pub fn reach(&self) -> Reach {
        let strides = self.ratios().map(|(_, picture)| picture);
        let stride = strides.fold(1, |all, one| all / common_factor(all, one) * one);
        let (map, picture) = self.ratio();
        // What one stride's pixels depend on; every other stride's is the same, moved.
        let own = [0, (stride / picture * map) as i64 - 1];
        let [first, last] = self.0.iter().rev().fold(own, |pixels, step| step.input(pixels));
        Reach { stride, halo: (-first).max(last + 1 - stride as i64).max(0) as usize }
    }

    /// The pixels of the map that stand for `pixels` of a picture that is `length` long: those begin at a multiple of
    /// the stride, and end at one or with the picture.
    pub fn span(&self, pixels: &Range<usize>, length: usize) -> Range<usize> {
        let (map, picture) = self.ratio();
        let at = |pixel: usize| match pixel {
            _ if pixel == length => self.output(length),
            _ => pixel * map / picture,
        };
        at(pixels.start)..at(pixels.end)
    }
}

fn common_factor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_factor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn window(kernel: usize, stride: usize) -> Step {
        Step::Window { kernel, stride, padding: kernel / 2 }
    }

    const POOL: Step = Step::Window { kernel: 2, stride: 2, padding: 0 };

    /// The pixels of a picture that every pixel of the map depends on, counted one by one.
    fn dependencies(chain: &Chain, length: usize) -> Vec<BTreeSet<usize>> {
        let mut map: Vec<BTreeSet<usize>> = (0..length).map(|at| BTreeSet::from([at])).collect();
        for step in &chain.0 {
            map = match *step {
                Step::Upsample(factor) => {
                    map.iter().flat_map(|seen| vec![seen.clone(); factor]).collect()
                }
                Step::Window { kernel, stride, padding } => {
                    let mut padded = vec![BTreeSet::new(); padding];
                    padded.extend(map);
                    padded.extend(vec![BTreeSet::new(); padding]);
                    let windows = padded.windows(kernel).step_by(stride);
                    windows.map(|window| window.iter().flatten().copied().collect()).collect()
                }
            };
        }
        map
    }

    /// 9×9, two strided 3×3, residual blocks, two upsamplings, each before a 3×3, 9×9 (Johnson et al. 2016).
    fn johnson() -> Chain {
        let blocks = std::iter::repeat_n(window(3, 1), 4);
        let up = [Step::Upsample(2), window(3, 1), Step::Upsample(2), window(3, 1), window(9, 1)];
        let down = [window(9, 1), window(3, 2), window(3, 2)];
        Chain::new(down.into_iter().chain(blocks).chain(up))
    }

    fn chains() -> Vec<Chain> {
        let vgg = [window(3, 1), window(3, 1), POOL, window(3, 1), POOL, window(3, 1)];
        vec![
            Chain::default(),
            Chain::new([window(1, 1)]),
            Chain::new(vgg),
            Chain::new([window(5, 3), window(3, 2), window(7, 1)]),
            Chain::new([Step::Window { kernel: 4, stride: 2, padding: 1 }, Step::Upsample(3)]),
            Chain::new([Step::Upsample(2), window(3, 3), Step::Upsample(3), POOL]),
            Chain::new([Step::Window { kernel: 11, stride: 4, padding: 2 }, window(3, 2)]),
            johnson(),
        ]
    }

    #[test]
    fn a_chain_looks_as_far_as_its_pixels_depend() {
        for chain in chains() {
            let Reach { stride, halo } = chain.reach();
            let (map, picture) = chain.ratio();
            // Far from both ends, where nothing is cut off.
            let length = 40 * stride + 4 * halo;
            let seen = dependencies(&chain, length);
            assert_eq!(seen.len(), chain.output(length), "{chain:?}");
            let from = (halo / stride + 2) * stride;
            let cell = from * map / picture..(from + stride) * map / picture;
            assert_eq!(cell, chain.span(&(from..from + stride), length));
            let all: BTreeSet<usize> = seen[cell].iter().flatten().copied().collect();
            let (first, last) = (all.first().expect("a pixel"), all.last().expect("a pixel"));
            let before = from as i64 - *first as i64;
            let after = *last as i64 + 1 - (from + stride) as i64;
            assert_eq!(before.max(after).max(0), halo as i64, "{chain:?}");
        }
    }

    #[test]
    fn known_networks_look_as_far_as_known() {
        // relu3_1 of a VGG with two convolutions in its first block and one in its second: 1 + 1 + 2 + 4.
        assert_eq!(chains()[2].reach(), Reach { stride: 4, halo: 8 });
        assert_eq!((chains()[2].ratio(), chains()[2].output(101)), ((1, 4), 25));
        let Reach { stride, halo } = johnson().reach();
        assert_eq!((stride, johnson().ratio(), johnson().output(101)), (4, (1, 1), 104));
        // Back from the last: 4 + 1 pixels, in half the size 3 + 1, in a quarter 2 + 4, and again 13, 27 and 27 + 4.
        assert_eq!(halo, 31);
    }

    /// Whatever is more than the halo away changes nothing: the spans of tiles are computed from what the tiles hold.
    #[test]
    fn tiles_hold_what_their_spans_depend_on() {
        for chain in chains() {
            let Reach { stride, halo } = chain.reach();
            let length = 12 * stride + 3 * halo + 1;
            let seen = dependencies(&chain, length);
            let cells = length / stride;
            let mut next = 0;
            for end in 1..=cells {
                let pixels = (end - 1) * stride..if end == cells { length } else { end * stride };
                let span = chain.span(&pixels, length);
                assert_eq!(span.start, next, "{chain:?}");
                next = span.end;
                let holds = pixels.start.saturating_sub(halo)..pixels.end + halo;
                let held = |at: usize| seen[at].iter().all(|pixel| holds.contains(pixel));
                assert!(span.into_iter().all(held), "{chain:?} {pixels:?}");
            }
            assert_eq!(next, seen.len(), "{chain:?}: every pixel is one tile's");
        }
    }
}
