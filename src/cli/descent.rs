//! Flags of the descent: which optimiser, how large its steps, when it stops.

use std::str::FromStr;

use clap::Args;
use impasto::optim::{Descent, Method};
use impasto::{Error, Result};

/// Adam's step size where none is given.
pub const ADAM_LR: f32 = 0.05;
/// L-BFGS's first step where none is given: the slope there is steep, and a longer one is most often taken back.
const LBFGS_LR: &str = "0.01";
/// Pairs that L-BFGS remembers where nothing is said.
const DEFAULT_HISTORY: usize = 10;
/// More are no use: the pictures of a hundred steps ago say little about the loss here.
const MOST_HISTORY: usize = 100;

/// Arguments of every command that descends.
#[derive(Args, Debug)]
#[command(next_help_heading = "Descent")]
pub struct DescentArgs {
    /// adam or lbfgs
    #[arg(long, value_name = "adam|lbfgs", default_value = "adam")]
    optimizer: Name,
    /// Step size: about how far a colour, which lies in 0..1, moves in a step (lbfgs: in its first, and 0.01 by default)
    #[arg(long, value_name = "R", default_value_t = ADAM_LR, default_value_if("optimizer", "lbfgs", LBFGS_LR),
value_parser = step_size, allow_negative_numbers = true)]
    lr: f32,
    /// Pairs of vectors that lbfgs remembers; each takes 24 bytes a pixel [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_HISTORY as i64))]
    history: Option<u32>,
    /// The result is a running average of the pictures after each step (the newest counts 0.01): smoother, and slower
    /// to get there
    #[arg(long)]
    average: bool,
    /// Go on to the next scale, or finish, once 20 steps lower the loss by less than this share [0.001 where none is
    /// given]
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true, default_missing_value = "0.001",
value_parser = share)]
    stop_when_flat: Option<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Name {
    Adam,
    Lbfgs,
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "adam" => Ok(Name::Adam),
            "lbfgs" => Ok(Name::Lbfgs),
            _ => Err("there are adam and lbfgs".into()),
        }
    }
}

fn step_size(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(lr) if lr.is_finite() && lr > 0.0 => Ok(lr),
        _ => Err("a step size is a number above 0".into()),
    }
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("a share is a number between 0 and 1".into()),
    }
}

impl DescentArgs {
    /// The settings.
    ///
    /// # Errors
    /// [`Error::Usage`] where flags do not go together.
    pub fn check(&self) -> Result<Descent> {
        let method = match (self.optimizer, self.history) {
            (Name::Adam, Some(_)) => {
                let what = "--history: only lbfgs has one; add --optimizer lbfgs";
                return Err(Error::Usage(what.into()));
            }
            (Name::Adam, None) => Method::Adam,
            (Name::Lbfgs, history) => {
                let history = history.map_or(DEFAULT_HISTORY, |pairs| pairs as usize);
                Method::Lbfgs { history }
            }
        };
        let (lr, average) = (self.lr, self.average);
        Ok(Descent { method, lr, average, flat: self.stop_when_flat })
    }
}
