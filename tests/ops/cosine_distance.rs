//! What is special about cosine distances: vectors without a direction.

use impasto::Result;
use impasto::gpu::Frozen;
use impasto::ops::cosine_distance;
use impasto::tape::Tape;

use crate::common::gpu;

/// Two channels at a place, and their target.
type Place = ([f32; 2], [f32; 2]);

/// The distance and its gradient.
fn measured(places: &[Place]) -> Result<(f32, Vec<f32>)> {
    let (gpu, n) = (gpu(), places.len());
    let planar = |of: fn(&Place) -> [f32; 2]| -> Vec<f32> {
        (0..2).flat_map(|c| places.iter().map(move |place| of(place)[c])).collect()
    };
    let mut tape = Tape::new(gpu);
    let x = tape.variable(&gpu.tensor([2, 1, n], &planar(|place| place.0))?);
    let target = tape.frozen(&Frozen::new([2, 1, n], planar(|place| place.1))?);
    let weight = tape.frozen(&Frozen::new([1, 1, n], vec![1.0; n])?);
    let y = cosine_distance(&mut tape, [x, target], weight, 1.0)?;
    let gradients = tape.backward(y)?;
    let dx = tape.gradient(&gradients, x).expect("y depends on x");
    let (y, dx) = (tape.keep(y)?, tape.keep(dx)?);
    let program = tape.finish()?;
    program.poison();
    pollster::block_on(program.run())?;
    Ok((pollster::block_on(gpu.read(&y))?[0], pollster::block_on(gpu.read(&dx))?))
}

#[test]
fn a_vector_without_direction_is_at_distance_one_and_stays() -> Result<()> {
    let zero = [0.0; 2];
    let places = [(zero, [1.0, 2.0]), ([1.0, 2.0], zero), (zero, zero), ([1e-20, 0.0], [1.0, 0.0])];
    assert_eq!(measured(&places)?, (4.0, vec![0.0; 8]));
    Ok(())
}

#[test]
fn only_the_direction_counts() -> Result<()> {
    for length in [1e-6, 1.0, 1e6] {
        let at = |x: f32, y: f32| [length * x, length * y];
        let places = [(at(3.0, 4.0), at(6.0, 8.0)), (at(1.0, 0.0), [0.0, 1.0])];
        let (distance, gradient) = measured(&places)?;
        assert!((distance - 1.0).abs() < 1e-6, "{distance}");
        // The first points where it should; the second turns towards its target, by the inverse of its length.
        let expected = [0.0, 0.0, 0.0, -1.0].map(|v| v / length);
        let near = gradient.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6 / length);
        assert!(near, "{gradient:?}");
    }
    Ok(())
}
