//! Flags of the descent: which optimiser, how large its steps, when it stops.

use clap::{Args, ValueEnum};
use impasto::optim::{Adam, Lbfgs, Method};
use impasto::paint::Descent;
use impasto::{Error, Result};

/// More are no use: the pictures of a hundred steps ago say little about the loss here.
const MOST_HISTORY: usize = 100;

/// Arguments of every command that descends.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Descent")]
pub struct DescentArgs {
    /// lbfgs, adam, or auto: lbfgs, but adam in tiles, where the picture does not fit on the GPU with lbfgs
    #[arg(
        long,
        value_name = "auto|lbfgs|adam",
        default_value = "auto",
        hide_possible_values = true
    )]
    optimizer: Name,
    /// Step size: about how far a colour, from 0 to 1, moves in a step of adam, or in the first step of lbfgs
    /// [default: 0.05, lbfgs 0.01]
    #[arg(long, value_name = "R", value_parser = step_size, allow_negative_numbers = true)]
    lr: Option<f32>,
    /// Pairs of vectors that lbfgs remembers; each takes 24 bytes a pixel [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_HISTORY as i64))]
    history: Option<u32>,
    /// The result is a running average of the pictures after each step; the newest counts 0.01. It is smoother, and takes
    /// more steps
    #[arg(long)]
    average: bool,
    /// Go on to the next scale, or finish, once 20 steps lower the loss by less than this share [without a value: 0.001]
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true, default_missing_value = "0.001",
value_parser = share)]
    stop_when_flat: Option<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Name {
    Auto,
    Adam,
    Lbfgs,
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
        if self.optimizer == Name::Adam && self.history.is_some() {
            let what = "--history: adam has none; leave it out, or give --optimizer lbfgs or auto";
            return Err(Error::Usage(what.into()));
        }
        let (of_lbfgs, of_adam) = (self.lr.unwrap_or(Lbfgs::LR), self.lr.unwrap_or(Adam::LR));
        let history = self.history.map_or(Lbfgs::HISTORY, |pairs| pairs as usize);
        let (method, lr, in_tiles) = match self.optimizer {
            Name::Auto => (Method::Lbfgs { history }, of_lbfgs, Some(of_adam)),
            Name::Lbfgs => (Method::Lbfgs { history }, of_lbfgs, None),
            Name::Adam => (Method::ADAM, of_adam, None),
        };
        Ok(Descent { method, lr, average: self.average, flat: self.stop_when_flat, in_tiles })
    }
}
