//! What the features of a picture should be: the content picture's own.

use crate::error::Result;
use crate::gpu::{Frozen, Gpu, Tensor, Value};
use crate::loss::settings::{LayerWeight, LossSettings, taps};
use crate::loss::style::Normalization;
use crate::nets::Graph;
use crate::ops::{self, statistics};
use crate::tape::{Tape, Var};

/// What a layer should be: the target, and the denominator of its error.
#[derive(Clone)]
pub(crate) struct ContentTarget {
    pub layer: LayerWeight,
    pub value: Value,
    pub denominator: Value,
}

impl ContentTarget {
    /// Those of every layer that counts: one run of the network over the content.
    ///
    /// # Errors
    /// What recording and running can give.
    pub async fn measure(
        gpu: &Gpu,
        graph: &Graph,
        settings: &LossSettings,
        content: &Tensor,
    ) -> Result<Vec<Self>> {
        let layers = settings.content_taps();
        let mut tape = Tape::new(gpu);
        let picture = tape.constant(content);
        let mut targets = Vec::new();
        graph.record(&mut tape, picture, &taps(&layers), &mut |tape, tap, features| {
            for layer in layers.iter().filter(|l| l.layer == tap) {
                let value = tape.keep(features)?;
                let features = tape.value(features).clone();
                let denominator = match settings.normalization {
                    Normalization::Relative => statistics::variance(tape.recorder(), &features)?,
                    Normalization::Absolute => (&Frozen::scalar(1.0)).into(),
                };
                let denominator = tape.recorder().keep(&denominator)?;
                let (value, denominator) = ((&value).into(), (&denominator).into());
                targets.push(ContentTarget { layer: layer.clone(), value, denominator });
            }
            Ok(())
        })?;
        tape.finish()?.run().await?;
        Ok(targets)
    }

    /// Records factor · ‖x − target‖² / denominator.
    pub fn record(&self, tape: &mut Tape, x: Var, factor: f32) -> Result<Var> {
        let (value, denominator) = (tape.given(&self.value), tape.given(&self.denominator));
        ops::relative_error(tape, x, value, denominator, factor)
    }
}
