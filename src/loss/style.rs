//! Style: what the features of a picture are compared by.
//!
//! Every loss but [`StyleLoss::Neighbours`] is a function of the raw moments of a layer's features F (C channels, N pixels): G = F·Fᵀ/N and, where
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

use crate::error::names;

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
    /// No moments: every place by the place of the style that is nearest to it ([`neighbours`](crate::loss::neighbours)).
    Neighbours,
}

names!(
    StyleLoss,
    "style loss",
    Gram = "gram",
    MeanStd = "mean-std",
    Wasserstein = "wasserstein",
    Neighbours = "neighbours"
);

impl StyleLoss {
    /// Whether it looks at the means, too.
    pub fn needs_mean(self) -> bool {
        matches!(self, Self::MeanStd | Self::Wasserstein)
    }

    /// Whether it compares place by place, and not by moments.
    pub fn is_by_place(self) -> bool {
        self == Self::Neighbours
    }

    /// Those that compare by moments.
    pub const OF_MOMENTS: [Self; 3] = [Self::Gram, Self::MeanStd, Self::Wasserstein];
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
