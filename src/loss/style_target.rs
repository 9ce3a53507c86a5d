//! What the moments of a layer should be: all that is left of the style pictures once they are aimed at.

use crate::error::Result;
use crate::gpu::{Frozen, Gpu, Tensor, Value};
use crate::loss::moments::{Moments, Statistics};
use crate::loss::style::{Normalization, StyleLoss};
use crate::ops::{self, statistics};
use crate::tape::{Tape, Var};

/// Added to variances, as a part of the target's mean second moment: keeps roots differentiable.
const EPSILON: f32 = 1e-4;
/// The same for [`Normalization::Absolute`] deviations: the original has none.
const SMALL_EPSILON: f32 = 1e-8;
/// Crowson's, in the units of the features.
const ABSOLUTE_EPSILON: f32 = 1e-4;
/// Weight of squared means and deviations beside [`Normalization::Absolute`] Gram matrices: 1e4 beside 1e3.
const ABSOLUTE_MOMENTS: f32 = 10.0;

/// A moment of the target, and what it would be at a strength of 1.
type Wanted = [Var; 2];

/// Numbers to resemble, and the denominator of the error.
#[derive(Clone)]
struct Goal {
    value: Value,
    denominator: Value,
}

impl Goal {
    /// The value aimed at, with the squared norm of the full style's.
    fn relative(tape: &mut Tape, [value, full]: Wanted) -> Result<Self> {
        let kept = tape.keep(value)?;
        let full = tape.value(full).clone();
        let norm = statistics::square_norm(tape.recorder(), &full)?;
        let norm = tape.recorder().keep(&norm)?;
        Ok(Goal { value: (&kept).into(), denominator: (&norm).into() })
    }

    /// The value aimed at, with 1.
    fn absolute(tape: &mut Tape, [value, _]: Wanted) -> Result<Self> {
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
#[derive(Clone)]
pub struct StyleTarget(Target);

#[derive(Clone)]
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
#[derive(Clone)]
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
        let mut blend = |part: fn(&Moments) -> Option<&Tensor>| -> Result<Wanted> {
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

    /// Records the loss of a layer with these moments, a scalar.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when the means are missing or the channels differ; otherwise what recording can give.
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

/// A Gram matrix to resemble, and the factor of its error.
fn gram_goal(tape: &mut Tape, gram: Wanted, normalization: Normalization) -> Result<(Goal, f32)> {
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
    let (goal, factors): (fn(&mut Tape, Wanted) -> Result<Goal>, _) = match normalization {
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
