//! What of a picture is moved: the picture itself, or the coefficients of its Laplacian pyramid ([`pyramid`]), by which large
//! areas move as fast as single pixels.

use std::collections::BTreeMap;

use crate::loss::LossSettings;
use crate::loss::neighbours;
use crate::ops::downsample::WEIGHTS;
use crate::ops::pyramid;
use crate::optim::{Adam, Optimizer, OptimizerSettings, State};
use crate::paint::descent::Descent;

/// The levels of pictures of one size, finest first. A single one is the picture.
#[derive(Clone)]
pub struct Levels {
    /// Height and width.
    sizes: Vec<[usize; 2]>,
    names: Vec<String>,
}

impl Levels {
    /// Of a picture of that width and height, for a loss.
    pub fn new(settings: &LossSettings, (width, height): (u32, u32)) -> Self {
        let count = if settings.style_loss.is_by_place() { neighbours::LEVELS } else { 1 };
        let sizes = pyramid::levels([height as usize, width as usize], count);
        let name = |level| if count == 1 { String::new() } else { format!("level{level}") };
        Levels { names: (0..sizes.len()).map(name).collect(), sizes }
    }

    /// Whether there are several.
    pub(crate) fn are_many(&self) -> bool {
        self.sizes.len() > 1
    }

    /// Under these names an optimiser knows them.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Their shapes.
    pub fn shapes(&self) -> impl Iterator<Item = [usize; 3]> {
        self.sizes.iter().map(|[h, w]| [3, *h, *w])
    }

    /// The levels of a picture, 3×H×W; of none, where memory is planned, none.
    pub fn split(&self, picture: &[f32]) -> Vec<Vec<f32>> {
        if picture.is_empty() {
            return vec![Vec::new(); self.sizes.len()];
        }
        let (mut left, mut levels) = (picture.to_vec(), Vec::new());
        for pair in self.sizes.windows(2) {
            let coarse = halved(&left, pair[0]);
            let smooth = doubled(&coarse, pair[1], pair[0]);
            left.iter_mut().zip(smooth).for_each(|(own, smooth)| *own -= smooth);
            levels.push(std::mem::replace(&mut left, coarse));
        }
        levels.push(left);
        levels
    }

    /// The levels that a picture starts from: those of a state at its size, if that has them, to the last bit.
    pub(crate) fn starts(&self, start: &[f32], before: Option<&State>) -> Vec<Vec<f32>> {
        let names: Vec<_> = self.kept_names().collect();
        let of = |(name, shape): (&String, [usize; 3])| {
            let count = shape.iter().product();
            before.filter(|state| state.has(name, count))?.tensors.get(name).cloned()
        };
        let known = names.iter().zip(self.shapes()).map(of).collect::<Option<Vec<_>>>();
        known.filter(|_| self.are_many()).unwrap_or_else(|| self.split(start))
    }

    /// Under these names they are kept in a state.
    pub(crate) fn kept_names(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|name| format!("{}.{name}", Optimizer::X))
    }

    /// What of a state is a level's own, under the names that a variable without a name has.
    pub(crate) fn state_of(&self, level: usize, state: &State) -> State {
        let name = &self.names[level];
        let own = state.tensors.iter().filter_map(|(key, numbers)| {
            let own = if name.is_empty() {
                Some(key.as_str())
            } else {
                key.strip_suffix(name)?.strip_suffix('.')
            };
            own.map(|own| (own.to_string(), numbers.clone()))
        });
        let clock = state.tensors.get(Adam::CLOCK).map(|clock| (Adam::CLOCK.into(), clock.clone()));
        State { steps: state.steps, tensors: own.chain(clock).collect() }
    }

    /// The state of all levels, from those of each.
    pub(crate) fn state(&self, steps: u64, states: impl Iterator<Item = State>) -> State {
        let mut tensors = BTreeMap::new();
        for (name, state) in self.names.iter().zip(states) {
            tensors.extend(state.tensors.into_iter().map(|(key, numbers)| {
                let common = name.is_empty() || key == Adam::CLOCK;
                (if common { key } else { format!("{key}.{name}") }, numbers)
            }));
        }
        State { steps, tensors }
    }

    /// The optimiser: the picture's numbers lie in 0..1, those of its levels anywhere.
    pub(crate) fn optimizer(&self, descent: &Descent) -> OptimizerSettings {
        let settings = descent.optimizer();
        OptimizerSettings { bounds: settings.bounds.filter(|_| !self.are_many()), ..settings }
    }

    /// The picture of levels.
    pub fn join(&self, levels: &[&[f32]]) -> Vec<f32> {
        let mut levels = levels.iter().zip(&self.sizes).rev();
        let Some((last, size)) = levels.next() else { return Vec::new() };
        let (mut picture, mut from) = (last.to_vec(), *size);
        for (level, size) in levels {
            picture = doubled(&picture, from, *size);
            picture.iter_mut().zip(*level).for_each(|(sum, value)| *sum += value);
            from = *size;
        }
        picture
    }

    /// The gradient to each level, from the picture's: what [`Levels::join`] makes of them is linear.
    pub fn gradients(&self, picture: &[f32]) -> Vec<Vec<f32>> {
        let mut gradients = vec![picture.to_vec()];
        for pair in self.sizes.windows(2) {
            let finer = &gradients[gradients.len() - 1];
            gradients.push(undoubled(finer, pair[0], pair[1]));
        }
        gradients
    }

    /// A picture with the finest levels of another.
    pub fn with_fine(&self, picture: &[f32], other: &[f32]) -> Vec<f32> {
        if picture.is_empty() {
            return Vec::new();
        }
        let (own, fine) = (self.split(picture), self.split(other));
        let count = neighbours::FINE.min(self.sizes.len() - 1);
        let levels = fine[..count].iter().chain(&own[count..]);
        let mut picture = self.join(&levels.map(Vec::as_slice).collect::<Vec<_>>());
        picture.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        picture
    }

    /// A picture without its finest levels.
    pub fn without_fine(&self, picture: &[f32]) -> Vec<f32> {
        self.with_fine(picture, &vec![0.0; picture.len()])
    }
}

/// Half the size, by the weights of [`downsample`](crate::ops::downsample()).
fn halved(x: &[f32], [h, w]: [usize; 2]) -> Vec<f32> {
    let weights = WEIGHTS.map(|weight| weight as f32);
    let (rows, columns) = (h / 2, w / 2);
    let across = |line: &[f32], column: usize| -> f32 {
        let pixel = |i: usize| line[(2 * column + i).saturating_sub(1).min(w - 1)];
        weights.iter().enumerate().map(|(i, weight)| weight * pixel(i)).sum()
    };
    let mut half = Vec::with_capacity(x.len() / 4);
    for plane in x.chunks_exact(h * w) {
        let narrow: Vec<f32> = plane
            .chunks_exact(w)
            .flat_map(|line| (0..columns).map(move |column| across(line, column)))
            .collect();
        for row in 0..rows {
            half.extend((0..columns).map(|column| -> f32 {
                let pixel = |i: usize| {
                    narrow[(2 * row + i).saturating_sub(1).min(h - 1) * columns + column]
                };
                weights.iter().enumerate().map(|(i, weight)| weight * pixel(i)).sum()
            }));
        }
    }
    half
}

/// Where a pixel lies between two of half as many, and how much it takes of each.
fn between(at: usize, half: usize) -> [(usize, f32); 2] {
    let near = (at / 2).min(half - 1);
    let far = if at % 2 == 1 { near + 1 } else { near.saturating_sub(1) };
    // The last pixel of an odd side lies beyond all of them.
    if far >= half || far == near || at / 2 > near {
        return [(near, 1.0), (near, 0.0)];
    }
    [(near, 0.75), (far, 0.25)]
}

/// Twice the size, bilinear.
fn doubled(x: &[f32], [h, w]: [usize; 2], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let mut large = Vec::with_capacity(x.len() / (h * w) * rows * columns);
    for plane in x.chunks_exact(h * w) {
        for row in 0..rows {
            let [(near, a), (far, b)] = between(row, h);
            let [near, far] = [near, far].map(|row| &plane[row * w..][..w]);
            large.extend((0..columns).map(|column| {
                let [(left, c), (right, d)] = between(column, w);
                a * (c * near[left] + d * near[right]) + b * (c * far[left] + d * far[right])
            }));
        }
    }
    large
}

/// The adjoint of [`doubled`].
fn undoubled(dy: &[f32], [rows, columns]: [usize; 2], [h, w]: [usize; 2]) -> Vec<f32> {
    let mut dx = Vec::with_capacity(dy.len() / (rows * columns) * h * w);
    for plane in dy.chunks_exact(rows * columns) {
        let mut sums = vec![0.0; h * w];
        for (row, line) in plane.chunks_exact(columns).enumerate() {
            for (y, down) in between(row, h) {
                let sums = &mut sums[y * w..][..w];
                for (column, value) in line.iter().enumerate() {
                    let [(left, c), (right, d)] = between(column, w);
                    sums[left] += down * c * value;
                    sums[right] += down * d * value;
                }
            }
        }
        dx.append(&mut sums);
    }
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Choice, Gpu};
    use crate::loss::StyleLoss;
    use crate::random::Random;
    use crate::tape::Tape;

    fn random(count: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed);
        (0..count).map(|_| random.uniform() as f32).collect()
    }

    fn levels(size: (u32, u32)) -> Levels {
        let style_loss = StyleLoss::Neighbours;
        Levels::new(&LossSettings { style_loss, ..LossSettings::plain() }, size)
    }

    /// What the GPU makes of levels and of a picture's gradient is what the host does.
    #[test]
    fn the_host_has_the_pyramid_of_the_gpu() {
        let gpu = pollster::block_on(Gpu::open(&Choice::default())).expect("a GPU");
        for (width, height) in [(37, 43), (64, 48), (9, 2), (1, 1), (5, 33)] {
            let levels = levels((width, height));
            let count = (3 * width * height) as usize;
            let picture = random(count, 1);
            let split = levels.split(&picture);
            let joined = levels.join(&split.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let off = |a: &[f32], b: &[f32]| {
                assert_eq!(a.len(), b.len());
                a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
            };
            assert!(off(&joined, &picture) < 1e-6, "{width}×{height}: the picture");
            let mut tape = Tape::new(&gpu);
            let tensors =
                levels.shapes().zip(&split).map(|(shape, level)| gpu.tensor(shape, level));
            let vars: Vec<_> =
                tensors.map(|tensor| tape.variable(&tensor.expect("a tensor"))).collect();
            let y = pyramid::synthesis(&mut tape, &vars).expect("a recording");
            let upstream = random(count, 2);
            let dy = gpu.tensor([3, height as usize, width as usize], &upstream).expect("a tensor");
            let dy = tape.constant(&dy);
            let gradients = tape.backward_from(y, dy).expect("a recording");
            let mut kept = vec![y];
            kept.extend(vars.iter().map(|var| tape.gradient(&gradients, *var).expect("it counts")));
            let kept: Vec<_> = kept.into_iter().map(|var| tape.keep(var).expect("kept")).collect();
            pollster::block_on(tape.finish().expect("a program").run()).expect("it runs");
            let read = |at: usize| pollster::block_on(gpu.read(&kept[at])).expect("numbers");
            assert!(off(&read(0), &picture) < 1e-6, "{width}×{height}: the GPU's picture");
            for (level, own) in levels.gradients(&upstream).iter().enumerate() {
                let wrong = off(&read(level + 1), own);
                assert!(wrong < 1e-4, "{width}×{height}, level {level}: off by {wrong}");
            }
        }
    }

    #[test]
    fn one_level_is_the_picture() {
        let levels = Levels::new(&LossSettings::plain(), (5, 4));
        let picture = random(60, 3);
        assert_eq!(levels.split(&picture), std::slice::from_ref(&picture));
        assert_eq!(levels.join(&[&picture]), picture);
        assert_eq!(levels.gradients(&picture), std::slice::from_ref(&picture));
        assert_eq!((levels.names(), levels.are_many()), (&[String::new()][..], false));
        assert_eq!(levels.with_fine(&picture, &[0.0; 60]), picture);
    }

    #[test]
    fn fine_levels_are_exchanged() {
        let levels = levels((40, 32));
        let (picture, other) = (random(3 * 40 * 32, 4), vec![0.5; 3 * 40 * 32]);
        let smooth = levels.without_fine(&picture);
        assert!(smooth.iter().zip(&picture).any(|(a, b)| (a - b).abs() > 0.1));
        // An even picture has no fine levels.
        assert_eq!(levels.with_fine(&picture, &other), smooth);
        let back = levels.with_fine(&smooth, &picture);
        assert!(back.iter().zip(&picture).all(|(a, b)| (a - b).abs() < 0.2));
    }
}
