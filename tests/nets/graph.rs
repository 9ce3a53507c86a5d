//! A network on the tape: maps as values, and weights as variables.

use impasto::gpu::{Frozen, Gpu, Tensor};
use impasto::nets::{Conv, Graph, Network, Parameter};
use impasto::ops;
use impasto::tape::{Tape, Var};
use impasto::{Error, Result};

use crate::common::{gpu, random, relative_error, rng};

fn graph() -> Graph {
    let mut network = Network::random(32, 5, Some("relu2_1")).expect("a network");
    // A colour convolution has weights, too.
    let weight = vec![0.9, 0.1, 0.0, 0.0, 1.0, 0.1, 0.2, 0.0, 0.8];
    let (out_channels, in_channels, kernel) = (3, 3, 1);
    let bias = vec![0.1; 3];
    network.colour = Some(Conv { weight, bias, out_channels, in_channels, kernel });
    Graph::new(network).expect("a graph")
}

fn picture(gpu: &Gpu) -> Tensor {
    let numbers: Vec<f32> =
        random(&mut rng(7), 3 * 12 * 10).iter().map(|v| 0.5 + 0.5 * v).collect();
    gpu.tensor([3, 12, 10], &numbers).expect("a tensor")
}

/// The sum over what a tap shows, weighted so that no number counts like its neighbour.
fn loss(tape: &mut Tape, map: Var) -> Result<Var> {
    let gram = ops::gram(tape, map)?;
    let shape = tape.shape(gram).clone();
    let numbers = (0..shape.elements()).map(|at| (at % 5) as f32 / 5.0).collect();
    let goal = tape.frozen(&Frozen::new(shape, numbers)?);
    ops::absolute_error(tape, gram, goal, 1.0)
}

#[test]
fn a_map_is_a_value() -> Result<()> {
    let (gpu, graph) = (gpu(), graph());
    let mut tape = Tape::new(gpu);
    let x = tape.constant(&picture(gpu));
    let map = graph.encode(&mut tape, x, "relu1_2")?;
    assert_eq!(*tape.shape(map), graph.at("relu1_2")?.shape((10, 12)).into());
    let encoded = tape.keep(map)?;
    let mut visited = None;
    graph.record(&mut tape, x, &["relu1_2", "relu2_1"], &mut |tape, tap, map| {
        if tap == "relu1_2" {
            visited = Some(tape.keep(map)?);
        }
        Ok(())
    })?;
    pollster::block_on(tape.finish()?.run())?;
    let read = |tensor: &Tensor| pollster::block_on(gpu.read(tensor));
    let encoded = read(&encoded)?;
    assert_eq!(encoded, read(&visited.expect("a visit"))?);
    assert!(encoded.iter().any(|v| *v > 0.0));
    let mut tape = Tape::new(gpu);
    let x = tape.constant(&picture(gpu));
    let missing = graph.encode(&mut tape, x, "relu9_9").map(drop);
    assert!(matches!(missing, Err(Error::Network { .. })));
    Ok(())
}

/// The loss at these weights, and its gradient to one of them by name.
fn evaluate(graph: &Graph, name: Option<&str>) -> Result<(f32, Vec<f32>)> {
    let gpu = gpu();
    let mut tape = Tape::new(gpu);
    let (x, vars) = (tape.constant(&picture(gpu)), graph.parameters().on(&mut tape));
    let mut map = x;
    graph.record_with(&mut tape, &vars, x, &["relu2_1"], &mut |_, _, seen| {
        map = seen;
        Ok(())
    })?;
    let loss = loss(&mut tape, map)?;
    let mut gradient = None;
    if let Some(name) = name {
        let gradients = tape.backward(loss)?;
        let of = tape.gradient(&gradients, vars.get(name)?).expect("the loss depends on it");
        gradient = Some(tape.keep(of)?);
    }
    let loss = tape.keep(loss)?;
    pollster::block_on(tape.finish()?.run())?;
    let read = |tensor: &Tensor| pollster::block_on(gpu.read(tensor));
    let gradient = gradient.map(|gradient| read(&gradient)).transpose()?;
    Ok((read(&loss)?[0], gradient.unwrap_or_default()))
}

#[test]
fn weights_are_named_and_may_be_variables() -> Result<()> {
    let frozen = graph();
    let names: Vec<&str> = frozen.parameters().iter().map(|(name, _)| name).collect();
    let layers = ["colour", "conv1_1", "conv1_2", "conv2_1"];
    let expected = layers.iter().flat_map(|l| [format!("{l}.bias"), format!("{l}.weight")]);
    assert_eq!(names, expected.collect::<Vec<_>>());
    let (before, _) = evaluate(&frozen, None)?;
    let variables = frozen.parameters().variables(gpu())?;
    let trained = graph().with_parameters(variables.clone())?;
    for name in ["conv1_1.weight", "conv2_1.bias", "colour.weight"] {
        let (loss, gradient) = evaluate(&trained, Some(name))?;
        // Other kernels may compute it.
        assert!((loss / before - 1.0).abs() < 1e-4, "{name}: {loss} and {before}");
        let Parameter::Variable(tensor) = variables.get(name)? else { panic!("{name} is frozen") };
        let numbers = pollster::block_on(gpu().read(tensor))?;
        let slope = |at: usize| -> Result<f64> {
            let moved = |by: f32| -> Result<f64> {
                let mut numbers = numbers.clone();
                numbers[at] += by;
                gpu().write(tensor, &numbers)?;
                Ok(f64::from(evaluate(&trained, None)?.0))
            };
            Ok((moved(5e-3)? - moved(-5e-3)?) / 1e-2)
        };
        let some: Vec<usize> = (0..numbers.len()).step_by(numbers.len().div_ceil(3)).collect();
        let slopes = some.iter().map(|at| slope(*at)).collect::<Result<Vec<_>>>()?;
        gpu().write(tensor, &numbers)?;
        let own: Vec<f32> = some.iter().map(|at| gradient[*at]).collect();
        let error = relative_error(&own, &slopes);
        assert!(error < 0.02, "{name}: {own:?}, by differences {slopes:?}");
    }
    let missing = graph().with_parameters(Default::default()).map(drop);
    assert!(matches!(missing, Err(Error::Network { .. })));
    Ok(())
}
