//! Style: what the features of a picture are compared by.
//!
//! Every loss is a function of the raw moments of a layer's features F (C channels, N pixels): G = F·Fᵀ/N and, where
//! it needs them, the means μ = ΣF/N. Moments can be averaged over style pictures and summed over tiles, and of the
//! style pictures nothing else is kept.
//!
//! With (A, m) the target's moments, Σ = G − μμᵀ and Σ' = A − mmᵀ the covariances, σ² and σ'² their diagonals:
//! - [`StyleLoss::Gram`]: ‖G − A‖² / ‖A‖² (Gatys, Ecker, Bethge, CVPR 2016);
//! - [`StyleLoss::MeanStd`]: the mean of that, ‖μ − m‖² / ‖m‖² and ‖σ − σ'‖² / ‖σ'‖² (the terms of Galerne, Raad,
//!   Lezama, Morel, "Scaling Painting Style Transfer", 2022, made relative);
//! - [`StyleLoss::Wasserstein`]: the squared Wasserstein-2 distance of the Gaussians N(μ, Σ) and N(m, Σ'),
//!   ‖μ − m‖² + Tr(Σ + Σ' − 2(Σ'^½ Σ Σ'^½)^½), over Tr A, the target's own second moment (after Crowson's
//!   style-transfer-pytorch).
//!
//! These are dimensionless. [`Normalization::Absolute`] has what other programs compute, in the units of the
//! features.

use crate::error::{Error, Result, names};
use crate::gpu::{Frozen, Gpu, Tensor, Value};
use crate::ops::{self, statistics};
use crate::shape::Shape;
use crate::tape::{Tape, Var};

/// By what styles are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StyleLoss {
    /// The second moments: Gram matrices.
    #[default]
    Gram,
    /// Gram matrices, means and standard deviations, which keep contrasts that Gram matrices alone trade for others.
    MeanStd,
    /// Means and covariances, by how far one Gaussian must be moved to become the other.
    Wasserstein,
}

names!(StyleLoss, "style loss", Gram = "gram", MeanStd = "mean-std", Wasserstein = "wasserstein");

impl StyleLoss {
    /// Whether it looks at the means, too.
    pub fn needs_mean(self) -> bool {
        self != Self::Gram
    }
}

/// What a layer's losses are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// The target's own size, so that one set of weights means the same for every network, layer and resolution.
    #[default]
    Relative,
    /// The count of numbers compared, as in the programs that presets reproduce: mean((F − P)²) for content;
    /// mean(((G − A) / C)²) for Gram matrices; for means and deviations 10 times their mean squares are added to
    /// that, and the squared Wasserstein-2 distance is over C.
    Absolute,
}

names!(Normalization, "normalization", Relative = "relative", Absolute = "absolute");

/// Added to variances, as a part of the target's mean second moment: keeps roots differentiable.
const EPSILON: f32 = 1e-4;
/// The same for [`Normalization::Absolute`] deviations: the original has none.
const SMALL_EPSILON: f32 = 1e-8;
/// Crowson's, in the units of the features.
const ABSOLUTE_EPSILON: f32 = 1e-4;
/// Weight of squared means and deviations beside [`Normalization::Absolute`] Gram matrices: 1e4 beside 1e3.
const ABSOLUTE_MOMENTS: f32 = 10.0;

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

/// First and second moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    First,
    Second,
}

impl Statistics {
    /// Records a multiple of the moments.
    pub(crate) fn scaled(self, tape: &mut Tape, factor: f32) -> Result<Self> {
        let gram = ops::scale(tape, self.gram, factor)?;
        let mean = self.mean.map(|mean| ops::scale(tape, mean, factor)).transpose()?;
        Ok(Statistics { gram, mean })
    }

    /// The moments that there are.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Order, Var)> + use<> {
        let mean = self.mean.map(|mean| (Order::First, mean));
        [(Order::Second, self.gram)].into_iter().chain(mean)
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

/// A moment of the target, and what it would be at a strength of 1.
type Aim = [Var; 2];

/// Numbers to resemble, and the denominator of the error.
struct Goal {
    value: Value,
    denominator: Value,
}

impl Goal {
    /// The value aimed at, with the squared norm of the full style's.
    fn relative(tape: &mut Tape, [value, full]: Aim) -> Result<Self> {
        let kept = tape.keep(value)?;
        let full = tape.value(full).clone();
        let norm = statistics::square_norm(tape.recorder(), &full)?;
        let norm = tape.recorder().keep(&norm)?;
        Ok(Goal { value: (&kept).into(), denominator: (&norm).into() })
    }

    /// The value aimed at, with 1.
    fn absolute(tape: &mut Tape, [value, _]: Aim) -> Result<Self> {
        let one = tape.frozen(&Frozen::scalar(1.0));
        let (value, one) = (tape.keep(value)?, tape.keep(one)?);
        Ok(Goal { value: (&value).into(), denominator: (&one).into() })
    }

    fn error(&self, tape: &mut Tape, x: Var, factor: f32) -> Result<Var> {
        let (value, denominator) = (tape.given(&self.value), tape.given(&self.denominator));
        ops::relative_error(tape, x, value, denominator, factor)
    }
}

/// What a layer's moments should be: all that is kept of the style pictures.
pub struct StyleTarget(Target);

enum Target {
    /// With a factor.
    Gram(Goal, f32),
    /// Factors of the Gram matrix, of means and of deviations.
    MeanStd {
        gram: Goal,
        mean: Goal,
        deviation: Goal,
        epsilon: f32,
        factors: [f32; 3],
    },
    Wasserstein(Gaussian),
}

/// The target's normal distribution in units of √unit.
struct Gaussian {
    mean: Value,
    /// The root of the covariance.
    root: Value,
    /// Mean of the covariance's diagonal.
    spread: f32,
    /// Mean of the second moments' diagonal.
    unit: f32,
    /// In units, too.
    epsilon: f32,
    /// Of the whole loss.
    factor: f32,
}

impl StyleTarget {
    /// From the moments of the style pictures, at least one, each with its weight in the blend (they need not add up
    /// to 1). `own`, the content's moments and a strength s, moves the target to (1 − s)·own + s·blend; what errors
    /// are divided by stays the blend's, so that the pull at the content is s times the whole one for every pair of
    /// pictures.
    ///
    /// # Errors
    /// What recording and running can give.
    pub async fn new(
        gpu: &Gpu,
        loss: StyleLoss,
        normalization: Normalization,
        styles: &[(Moments, f32)],
        own: Option<(&Moments, f32)>,
    ) -> Result<Self> {
        let mut tape = Tape::new(gpu);
        let sum: f32 = styles.iter().map(|(_, weight)| weight).sum();
        let mut blend = |part: fn(&Moments) -> Option<&Tensor>| -> Result<Aim> {
            let parts = styles.iter().filter_map(|(m, weight)| Some((weight / sum, part(m)?)));
            let terms: Vec<_> = parts.map(|(w, tensor)| (w, tape.constant(tensor))).collect();
            let full = ops::weighted_sum(&mut tape, &terms)?;
            let Some((own, strength)) = own.and_then(|(own, s)| Some((part(own)?, s))) else {
                return Ok([full, full]);
            };
            let own = tape.constant(own);
            Ok([ops::weighted_sum(&mut tape, &[(1.0 - strength, own), (strength, full)])?, full])
        };
        let gram = blend(|moments| Some(&moments.gram))?;
        if loss == StyleLoss::Gram {
            let (goal, factor) = gram_goal(&mut tape, gram, normalization)?;
            tape.finish()?.run().await?;
            return Ok(StyleTarget(Target::Gram(goal, factor)));
        }
        let mean = blend(|moments| moments.mean.as_ref())?;
        let mut keep = |at: usize| -> Result<Moments> {
            Ok(Moments { gram: tape.keep(gram[at])?, mean: Some(tape.keep(mean[at])?) })
        };
        let [aim, full] = [keep(0)?, keep(1)?];
        tape.finish()?.run().await?;
        let second = diagonal_mean(&gpu.read(&full.gram).await?);
        let target = match loss {
            StyleLoss::Wasserstein => {
                Target::Wasserstein(Gaussian::new(gpu, normalization, &aim, second).await?)
            }
            _ => mean_std(gpu, normalization, [&aim, &full], second).await?,
        };
        Ok(StyleTarget(target))
    }

    /// A stand-in for the target of a layer with so many channels, to plan with.
    pub(crate) fn placeholder(tape: &mut Tape, loss: StyleLoss, channels: usize) -> Self {
        let mut value = |shape: Shape| tape.recorder().placeholder(shape);
        let mut goal =
            |shape: Shape| Goal { value: value(shape), denominator: value(Shape::scalar()) };
        let (matrix, vector) = (Shape::from([channels, channels]), Shape::from([channels]));
        StyleTarget(match loss {
            StyleLoss::Gram => Target::Gram(goal(matrix), 1.0),
            StyleLoss::MeanStd => Target::MeanStd {
                gram: goal(matrix),
                mean: goal(vector.clone()),
                deviation: goal(vector),
                epsilon: EPSILON,
                factors: [1.0; 3],
            },
            StyleLoss::Wasserstein => {
                let (mean, root) = (value(vector), value(matrix));
                let (spread, unit, epsilon, factor) = (1.0, 1.0, EPSILON, 1.0);
                Target::Wasserstein(Gaussian { mean, root, spread, unit, epsilon, factor })
            }
        })
    }

    /// Records the loss of a layer with these moments, a scalar.
    ///
    /// # Errors
    /// [`Error::Shape`] when the means are missing or the channels differ; otherwise what recording can give.
    pub fn record(&self, tape: &mut Tape, x: &Statistics) -> Result<Var> {
        match &self.0 {
            Target::Gram(goal, factor) => goal.error(tape, x.gram, *factor),
            Target::MeanStd { gram, mean, deviation, epsilon, factors } => {
                let means = x.mean()?;
                let deviations = ops::deviation(tape, x.gram, means, *epsilon)?;
                let terms = [
                    (1.0, gram.error(tape, x.gram, factors[0])?),
                    (1.0, mean.error(tape, means, factors[1])?),
                    (1.0, deviation.error(tape, deviations, factors[2])?),
                ];
                ops::weighted_sum(tape, &terms)
            }
            Target::Wasserstein(gaussian) => gaussian.record(tape, x.gram, x.mean()?),
        }
    }
}

impl Statistics {
    fn mean(&self) -> Result<Var> {
        let what = "the loss needs the means of the channels".into();
        self.mean.ok_or(Error::Shape { op: "style", what })
    }
}

/// A Gram matrix to resemble, and the factor of its error.
fn gram_goal(tape: &mut Tape, gram: Aim, normalization: Normalization) -> Result<(Goal, f32)> {
    let numbers = tape.shape(gram[0]).elements() as f32;
    match normalization {
        Normalization::Relative => Ok((Goal::relative(tape, gram)?, 1.0)),
        Normalization::Absolute => Ok((Goal::absolute(tape, gram)?, 1.0 / (numbers * numbers))),
    }
}

/// The mean of a square matrix's diagonal; 1 where that is 0, because everything is divided by it.
fn diagonal_mean(matrix: &[f32]) -> f32 {
    let channels = matrix.len().isqrt();
    let sum: f64 = matrix.iter().step_by(channels + 1).map(|v| f64::from(*v)).sum();
    let mean = (sum / channels as f64) as f32;
    if mean > 0.0 { mean } else { 1.0 }
}

async fn mean_std(
    gpu: &Gpu,
    normalization: Normalization,
    moments: [&Moments; 2],
    second: f32,
) -> Result<Target> {
    let mut tape = Tape::new(gpu);
    let [(gram, mean), (full_gram, full_mean)] = moments.map(|m| m.constants(&mut tape));
    let channels = tape.shape(mean).elements() as f32;
    let epsilon = second
        * match normalization {
            Normalization::Relative => EPSILON,
            Normalization::Absolute => SMALL_EPSILON,
        };
    let deviation = ops::deviation(&mut tape, gram, mean, epsilon)?;
    let full_deviation = ops::deviation(&mut tape, full_gram, full_mean, epsilon)?;
    let (gram, factor) = gram_goal(&mut tape, [gram, full_gram], normalization)?;
    let (goal, factors): (fn(&mut Tape, Aim) -> Result<Goal>, _) = match normalization {
        Normalization::Relative => (Goal::relative, [factor, 1.0, 1.0].map(|f| f / 3.0)),
        Normalization::Absolute => {
            let of_moments = ABSOLUTE_MOMENTS / channels;
            (Goal::absolute, [factor, of_moments, of_moments])
        }
    };
    let mean = goal(&mut tape, [mean, full_mean])?;
    let deviation = goal(&mut tape, [deviation, full_deviation])?;
    tape.finish()?.run().await?;
    Ok(Target::MeanStd { gram, mean, deviation, epsilon, factors })
}

impl Moments {
    fn constants(&self, tape: &mut Tape) -> (Var, Var) {
        let gram = tape.constant(&self.gram);
        (gram, self.mean.as_ref().map_or(gram, |mean| tape.constant(mean)))
    }
}

impl Gaussian {
    async fn new(
        gpu: &Gpu,
        normalization: Normalization,
        moments: &Moments,
        unit: f32,
    ) -> Result<Self> {
        let (epsilon, factor) = match normalization {
            Normalization::Relative => (EPSILON, 1.0),
            Normalization::Absolute => (ABSOLUTE_EPSILON / unit, unit),
        };
        let mut tape = Tape::new(gpu);
        let (gram, mean) = moments.constants(&mut tape);
        let covariance = ops::covariance(&mut tape, gram, mean, 1.0 / unit, epsilon)?;
        let (mean, covariance) = (tape.keep(mean)?, tape.keep(covariance)?);
        let root = ops::root_trace::square_root(tape.recorder(), &(&covariance).into())?;
        let root = tape.recorder().keep(&root)?;
        tape.finish()?.run().await?;
        let spread = diagonal_mean(&gpu.read(&covariance).await?);
        let (mean, root) = ((&mean).into(), (&root).into());
        Ok(Gaussian { mean, root, spread, unit, epsilon, factor })
    }

    fn record(&self, tape: &mut Tape, gram: Var, mean: Var) -> Result<Var> {
        let channels = tape.shape(mean).elements();
        let share = self.factor / channels as f32;
        let goal = tape.given(&self.mean);
        let moved = ops::absolute_error(tape, mean, goal, share / self.unit)?;
        // Σσ² is the trace of the covariance.
        let deviation = ops::deviation(tape, gram, mean, self.epsilon * self.unit)?;
        let zeros = tape.frozen(&Frozen::new([channels], vec![0.0; channels])?);
        let spread = ops::absolute_error(tape, deviation, zeros, share / self.unit)?;
        let goal = tape.frozen(&Frozen::scalar(self.spread));
        let covariance = ops::covariance(tape, gram, mean, 1.0 / self.unit, self.epsilon)?;
        // Tr((Σ'^½ Σ Σ'^½)^½) = Tr((Σ^½ Σ' Σ^½)^½), and Σ' stays: only one root is followed back.
        let root = tape.given(&self.root);
        let between = ops::matmul(tape, root, covariance)?;
        let between = ops::matmul(tape, between, root)?;
        let overlap = ops::root_trace(tape, between)?;
        let terms = [(1.0, moved), (1.0, spread), (self.factor, goal), (-2.0 * share, overlap)];
        ops::weighted_sum(tape, &terms)
    }
}
