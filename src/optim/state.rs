//! What an optimiser hands on.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// What an optimiser knows after some steps, on the host: with what it moves, enough to go on bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps taken.
    pub steps: u64,
    /// The optimiser's own numbers by name, such as Adam's `clock`, `mean` and `square`. Those that belong to a
    /// [`Variable`](super::Variable) have its name too, as in `mean.conv1.weight`, unless that is empty.
    pub tensors: BTreeMap<String, Vec<f32>>,
}

impl State {
    /// The numbers of that name.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are none: another optimiser's state.
    pub fn tensor(&self, name: &str) -> Result<&[f32]> {
        self.tensors.get(name).map(Vec::as_slice).ok_or_else(|| Error::Shape {
            op: "optimiser",
            what: format!("the state to go on from has no `{name}`: another optimiser left it"),
        })
    }

    /// Whether it has so many numbers of that name.
    pub(crate) fn has(&self, name: &str, count: usize) -> bool {
        self.tensors.get(name).is_some_and(|numbers| numbers.len() == count)
    }
}

/// The name in a [`State`] of what belongs to the variable `variable`.
pub(super) fn name_of(what: &str, variable: &str) -> String {
    if variable.is_empty() { what.into() } else { format!("{what}.{variable}") }
}
