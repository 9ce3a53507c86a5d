//! Moments of a layer's features, on the tape and kept on the GPU.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::{Gpu, Tensor};
use crate::loss::neighbours::StyleVectors;
use crate::loss::settings::{LayerWeight, LossSettings};
use crate::loss::style::StyleLoss;
use crate::nets::Graph;
use crate::ops;
use crate::tape::{Tape, Var};

/// A layer's moments on the tape.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// G, C×C.
    pub gram: Var,
    /// μ, C, where the loss needs it.
    pub mean: Option<Var>,
}

/// Records the moments of features, C×H×W, that `loss` needs.
///
/// # Errors
/// What recording can give.
pub fn measure(tape: &mut Tape, features: Var, loss: StyleLoss) -> Result<Statistics> {
    // The first use is the last whose gradient is added, and `gram` can mask in passing.
    let gram = ops::gram(tape, features)?;
    let mean = loss.needs_mean().then(|| ops::channel_mean(tape, features)).transpose()?;
    Ok(Statistics { gram, mean })
}

/// Records the moments of what a guide lets see (see [`ops::guide`]), over all pixels.
///
/// # Errors
/// What recording can give.
pub fn measure_guided(
    tape: &mut Tape,
    features: Var,
    guide: Var,
    loss: StyleLoss,
) -> Result<Statistics> {
    let gram = ops::guided_gram(tape, features, guide)?;
    let mean = loss.needs_mean().then(|| ops::guided_mean(tape, features, guide)).transpose()?;
    Ok(Statistics { gram, mean })
}

/// Which of a layer's moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    Mean,
    Gram,
}

impl Statistics {
    /// Records a multiple of the moments.
    pub(crate) fn scaled(self, tape: &mut Tape, factor: f32) -> Result<Self> {
        let gram = ops::scale(tape, self.gram, factor)?;
        let mean = self.mean.map(|mean| ops::scale(tape, mean, factor)).transpose()?;
        Ok(Statistics { gram, mean })
    }

    /// The moments that there are.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Moment, Var)> + use<> {
        let mean = self.mean.map(|mean| (Moment::Mean, mean));
        [(Moment::Gram, self.gram)].into_iter().chain(mean)
    }
}

/// A layer's moments, kept on the GPU.
#[derive(Clone)]
pub struct Moments {
    /// C×C.
    pub gram: Tensor,
    /// C.
    pub mean: Option<Tensor>,
}

impl Statistics {
    /// Makes the moments last.
    ///
    /// # Errors
    /// [`Error::Memory`] when there is no memory for them.
    pub fn keep(&self, tape: &mut Tape) -> Result<Moments> {
        let mean = self.mean.map(|mean| tape.keep(mean)).transpose()?;
        Ok(Moments { gram: tape.keep(self.gram)?, mean })
    }
}

impl Moments {
    /// Those of a layer with so many channels, to add up.
    pub(crate) fn zeros(gpu: &Gpu, channels: usize, loss: StyleLoss) -> Result<Self> {
        let mean = loss.needs_mean().then(|| gpu.zeros([channels])).transpose()?;
        Ok(Moments { gram: gpu.zeros([channels, channels])?, mean })
    }

    /// In the order of [`Statistics::parts`].
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Tensor> {
        [&self.gram].into_iter().chain(&self.mean)
    }
}

/// What is seen of a picture's style, by layer and region.
pub(crate) type Seen = BTreeMap<(String, usize), Statistics>;

impl Statistics {
    /// The means of the channels.
    ///
    /// # Errors
    /// [`Error::Shape`] when they were not measured.
    pub(crate) fn mean(&self) -> Result<Var> {
        let what = "the loss needs the means of the channels".into();
        self.mean.ok_or(Error::Shape { op: "style", what })
    }
}

/// All that is kept of a style picture, which is measured once (`tiles::measure`) and serves any number of paintings, frames and
/// sizes at which the style has this one. Cloning shares it.
#[derive(Clone)]
pub struct StyleTraits(Kept);

#[derive(Clone)]
enum Kept {
    /// The moments of its layers.
    Moments(Arc<BTreeMap<String, Moments>>),
    /// What its places look like.
    Vectors(Arc<StyleVectors>),
}

impl StyleTraits {
    /// Memory for those of the layers that count, to add up.
    ///
    /// # Errors
    /// [`Error::Network`] when a layer is missing, [`Error::Memory`] when there is no memory for them.
    pub(crate) fn zeros(gpu: &Gpu, graph: &Graph, settings: &LossSettings) -> Result<Self> {
        let layers = settings.style_taps().into_iter();
        let of = |layer: LayerWeight| {
            let channels = graph.at(&layer.layer)?.channels;
            Ok((layer.layer, Moments::zeros(gpu, channels, settings.style_loss)?))
        };
        Ok(StyleTraits(Kept::Moments(Arc::new(layers.map(of).collect::<Result<_>>()?))))
    }

    /// What its places look like.
    pub(crate) fn of_places(vectors: StyleVectors) -> Self {
        StyleTraits(Kept::Vectors(Arc::new(vectors)))
    }

    /// What its places look like to these layers.
    ///
    /// # Errors
    /// [`Error::Usage`] when that was not measured.
    pub(crate) fn vectors(&self, layers: &[&str]) -> Result<&StyleVectors> {
        let Kept::Vectors(vectors) = &self.0 else {
            let what = "the style was not measured for neighbours: measure it again".into();
            return Err(Error::Usage(what));
        };
        vectors.check(layers).map(|()| vectors.as_ref())
    }

    /// Bytes of system memory.
    pub(crate) fn host_bytes(&self) -> u64 {
        match &self.0 {
            Kept::Moments(_) => 0,
            Kept::Vectors(vectors) => 4 * (vectors.count * vectors.channels()) as u64,
        }
    }

    /// Those that `loss` needs of a layer.
    ///
    /// # Errors
    /// [`Error::Usage`] when they were not measured.
    pub(crate) fn at(&self, tap: &str, loss: StyleLoss) -> Result<&Moments> {
        let measured = match &self.0 {
            Kept::Moments(layers) => layers.get(tap),
            Kept::Vectors(_) => None,
        };
        let measured = measured.filter(|m| m.mean.is_some() || !loss.needs_mean());
        measured.ok_or_else(|| {
            let what = format!("the style was not measured for {loss} at {tap}: measure it again");
            Error::Usage(what)
        })
    }
}
