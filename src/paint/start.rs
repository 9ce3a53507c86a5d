//! The picture that the first step starts from.

use crate::optim::State;
use crate::picture::Picture;
use crate::random::Random;
use crate::shape::Wrap;

/// Where the optimisation starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// From the content picture.
    Content,
    /// From noise of this seed.
    Noise(u64),
    /// From another picture, brought to the content's size.
    Picture(Box<Picture>),
    /// Where another painter left off, at this size or another.
    Carried(Box<Carried>),
}

/// What a painter hands to the next one, and what a checkpoint keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// The picture as it stood.
    pub picture: Picture,
    /// The optimiser's state.
    pub state: State,
    /// Seconds that the steps took.
    pub seconds: f64,
}

impl Start {
    /// Planar RGB for a picture of the content's size: as far from the content as the strength says, unless it is what
    /// another painter left. `wrap`: edges of the picture that meet.
    pub fn rgb(&self, content: &Picture, strength: f32, wrap: Wrap) -> Vec<f32> {
        let mut rgb = match self {
            Start::Content => return content.rgb().to_vec(),
            Start::Carried(carried) => return at_size_of(&carried.picture, content, wrap),
            Start::Noise(seed) => noise(content.rgb().len(), *seed),
            Start::Picture(picture) => at_size_of(picture, content, wrap),
        };
        if strength < 1.0 {
            let blend = |(to, own): (&mut f32, &f32)| *to = own + strength * (*to - own);
            rgb.iter_mut().zip(content.rgb()).for_each(blend);
        }
        rgb
    }
}

fn at_size_of(picture: &Picture, content: &Picture, wrap: Wrap) -> Vec<f32> {
    picture.resized_around(content.width(), content.height(), wrap).into_planes().0
}

/// Uniform around mid-grey: the features of full-range noise are far from any picture's.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| (0.25 + 0.5 * random.uniform()) as f32).collect()
}
