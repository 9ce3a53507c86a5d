//! A network's weights by name, as its file names them. They are frozen, or variables that their owner trains.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::{Frozen, Gpu, Tensor};
use crate::shape::Shape;
use crate::tape::{Tape, Var};

/// One of a network's tensors.
#[derive(Clone)]
pub enum Parameter {
    /// It never changes, and has no gradient.
    Frozen(Arc<Frozen>),
    /// Its owner changes it between replays.
    Variable(Tensor),
}

impl Parameter {
    /// Its shape.
    pub fn shape(&self) -> &Shape {
        match self {
            Parameter::Frozen(numbers) => numbers.shape(),
            Parameter::Variable(tensor) => tensor.shape(),
        }
    }
}

/// All of them, such as `conv1_1.weight`. Cloning shares them.
#[derive(Clone, Default)]
pub struct Parameters(BTreeMap<String, Parameter>);

impl Parameters {
    /// Adds one, or replaces that of the same name.
    pub fn insert(&mut self, name: impl Into<String>, parameter: Parameter) {
        self.0.insert(name.into(), parameter);
    }

    /// That of a name.
    ///
    /// # Errors
    /// [`Error::Network`] when there is none.
    pub fn get(&self, name: &str) -> Result<&Parameter> {
        self.0.get(name).ok_or_else(|| missing(name))
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.0.iter().map(|(name, parameter)| (name.as_str(), parameter))
    }

    /// The same numbers as tensors, to be trained: none of them is frozen any more.
    ///
    /// # Errors
    /// [`Error::Memory`] when they are too large for the adapter.
    pub fn variables(&self, gpu: &Gpu) -> Result<Self> {
        let of = |(name, parameter): (&String, &Parameter)| {
            let variable = match parameter {
                Parameter::Frozen(numbers) => {
                    Parameter::Variable(gpu.tensor(numbers.shape().clone(), numbers.data())?)
                }
                Parameter::Variable(_) => parameter.clone(),
            };
            Ok((name.clone(), variable))
        };
        self.0.iter().map(of).collect::<Result<_>>().map(Parameters)
    }

    /// Puts them on a tape.
    pub fn on(&self, tape: &mut Tape) -> Vars {
        let of = |(name, parameter): (&String, &Parameter)| {
            let var = match parameter {
                Parameter::Frozen(numbers) => tape.frozen(numbers),
                Parameter::Variable(tensor) => tape.variable(tensor),
            };
            (name.clone(), var)
        };
        Vars(self.0.iter().map(of).collect())
    }
}

/// A network's weights on a tape.
pub struct Vars(BTreeMap<String, Var>);

impl Vars {
    /// That of a name: what [`Tape::gradient`] is asked about.
    ///
    /// # Errors
    /// [`Error::Network`] when there is none.
    pub fn get(&self, name: &str) -> Result<Var> {
        self.0.get(name).copied().ok_or_else(|| missing(name))
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Var)> {
        self.0.iter().map(|(name, var)| (name.as_str(), *var))
    }
}

fn missing(name: &str) -> Error {
    Error::Network { name: "network".into(), what: format!("it has no weights {name}") }
}
