//! When more steps are of no use: the loss does not fall any more.

use std::collections::VecDeque;

/// Watches a loss. It is flat when its median over the last [`Flat::WINDOW`] steps is not more than a share below the
/// median over as many steps before those: medians, because Adam's losses are noisy and some of L-BFGS's trials are
/// rejected.
pub struct Flat {
    share: f32,
    losses: VecDeque<f32>,
}

impl Flat {
    /// Steps whose losses are put together.
    pub const WINDOW: usize = 20;

    /// Before the first step.
    pub fn new(share: f32) -> Self {
        Flat { share, losses: VecDeque::new() }
    }

    /// Notes the loss of the next step.
    pub fn push(&mut self, loss: f32) {
        self.losses.push_back(loss);
        if self.losses.len() > 2 * Self::WINDOW {
            self.losses.pop_front();
        }
    }

    /// Begins anew: what is minimised has changed.
    pub fn forget(&mut self) {
        self.losses.clear();
    }

    /// Whether it is flat. Not before two windows are full.
    pub fn reached(&self) -> bool {
        let median = |skip: usize| {
            let window = self.losses.iter().skip(skip).take(Self::WINDOW);
            let mut sorted: Vec<f32> = window.copied().collect();
            sorted.sort_by(f32::total_cmp);
            0.5 * (sorted[(Self::WINDOW - 1) / 2] + sorted[Self::WINDOW / 2])
        };
        self.losses.len() == 2 * Self::WINDOW && {
            let (before, now) = (median(0), median(Self::WINDOW));
            before - now <= self.share * before.abs()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of steps after which a loss is flat.
    fn steps(share: f32, loss: impl Fn(usize) -> f32) -> Option<usize> {
        let mut flat = Flat::new(share);
        (0..1000).find(|step| {
            flat.push(loss(*step));
            flat.reached()
        })
    }

    #[test]
    fn only_what_stopped_falling_is_flat() {
        assert_eq!(steps(1e-3, |_| 2.0), Some(39));
        assert_eq!(steps(1e-3, |step| 0.999f32.powi(step as i32)), None);
        let levels_off = |step: usize| 1.0 + (-(step as f32) / 30.0).exp();
        let at = steps(1e-3, levels_off).expect("it levels off");
        // exp(−t/30) falls by 0.001 in 20 steps where it is near 0.002.
        assert!((180..260).contains(&at), "{at}");
        assert!(steps(1e-2, levels_off).expect("it levels off") < at);
    }

    #[test]
    fn outliers_and_noise_do_not_matter() {
        let falling = |step: usize| 0.998f32.powi(step as i32);
        // Rejected trials.
        assert_eq!(steps(1e-3, |s| falling(s) * if s % 7 == 0 { 9.0 } else { 1.0 }), None);
        // A loss that swings by a tenth of what it is.
        let swings = |s: usize| 1.0 + 0.05 * ((s * 7919 % 101) as f32 / 50.0 - 1.0);
        assert_eq!(steps(1e-3, |s| falling(s) * swings(s)), None);
        let at = steps(1e-3, swings).expect("nothing but noise");
        assert!(at < 200, "{at}");
    }

    #[test]
    fn so_are_a_rising_loss_and_one_of_zero() {
        assert_eq!(steps(1e-3, |step| step as f32), Some(39));
        assert_eq!(steps(1e-3, |_| 0.0), Some(39));
    }
}
