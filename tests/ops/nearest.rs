//! What is special about the nearest vectors: ties, labels, and means that are large beside what differs.

use impasto::Result;
use impasto::gpu::Frozen;
use impasto::ops::{Vectors, gather, nearest};
use impasto::tape::Tape;

use crate::common::{gpu, random, rng};

const CHANNELS: usize = 24;

/// A set of vectors on the host: C×N, and its mean.
struct Set {
    numbers: Vec<f32>,
    mean: Vec<f32>,
}

impl Set {
    fn of(numbers: Vec<f32>) -> Self {
        let count = numbers.len() / CHANNELS;
        let mean = numbers.chunks(count).map(|row| row.iter().sum::<f32>() / count as f32);
        Set { mean: mean.collect(), numbers }
    }

    fn count(&self) -> usize {
        self.numbers.len() / CHANNELS
    }

    fn record(&self, tape: &mut Tape) -> Result<Vectors> {
        let n = self.count();
        Ok(Vectors {
            map: tape.frozen(&Frozen::new([CHANNELS, 1, n], self.numbers.clone())?),
            mean: tape.frozen(&Frozen::new([CHANNELS], self.mean.clone())?),
            labels: tape.frozen(&Frozen::new([1, n], vec![0.0; n])?),
        })
    }

    fn direction(&self, at: usize) -> Vec<f64> {
        let rows = self.numbers.chunks(self.count()).zip(&self.mean);
        let vector: Vec<f64> =
            rows.map(|(row, mean)| f64::from(row[at]) - f64::from(*mean)).collect();
        let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        vector.iter().map(|v| v / length).collect()
    }
}

/// Searches a pool; the choice, and the chosen vectors.
fn found(x: &Set, pool: &Set) -> Result<[Vec<f32>; 2]> {
    let gpu = gpu();
    let mut tape = Tape::new(gpu);
    let (own, pool) = (x.record(&mut tape)?, pool.record(&mut tape)?);
    let choice = nearest(&mut tape, own, pool)?;
    let chosen = gather(&mut tape, pool.map, choice)?;
    let kept = [tape.keep(choice)?, tape.keep(chosen)?];
    let program = tape.finish()?;
    program.poison();
    pollster::block_on(program.run())?;
    Ok([pollster::block_on(gpu.read(&kept[0]))?, pollster::block_on(gpu.read(&kept[1]))?])
}

#[test]
fn what_is_chosen_is_gathered() -> Result<()> {
    let mut rng = rng(1);
    let x = Set::of(random(&mut rng, CHANNELS * 36));
    let pool = Set::of(random(&mut rng, CHANNELS * 201));
    let [choice, chosen] = found(&x, &pool)?;
    for (place, number) in choice[..36].iter().enumerate() {
        for c in 0..CHANNELS {
            assert_eq!(chosen[c * 36 + place], pool.numbers[c * 201 + *number as usize]);
        }
    }
    Ok(())
}

#[test]
fn large_means_do_not_hide_the_nearest() -> Result<()> {
    let mut rng = rng(2);
    let mut set = |count: usize, by: f32| {
        Set::of(random(&mut rng, CHANNELS * count).iter().map(|v| v + by).collect())
    };
    // Features of ReLUs are like that, if less so.
    let (x, pool) = (set(50, 8.0), set(300, -5.0));
    let [choice, _] = found(&x, &pool)?;
    for (place, number) in choice[..50].iter().enumerate() {
        let own = x.direction(place);
        let cosine =
            |at: usize| -> f64 { own.iter().zip(pool.direction(at)).map(|(a, b)| a * b).sum() };
        let best = (0..300).map(cosine).fold(-2.0, f64::max);
        let chosen = cosine(*number as usize);
        assert!(best - chosen < 1e-5, "{number} with {chosen}, not {best}");
        let score = f64::from(choice[50 + place]);
        assert!((score - chosen).abs() < 1e-5, "{score} is not {chosen}");
    }
    Ok(())
}

#[test]
fn the_first_of_equals_is_chosen() -> Result<()> {
    let mut rng = rng(3);
    let some = random(&mut rng, CHANNELS * 40);
    // Every vector twice.
    let twice: Vec<f32> = some.chunks(40).flat_map(|row| [row, row].concat()).collect();
    let (x, pool) = (Set::of(random(&mut rng, CHANNELS * 16)), Set::of(twice));
    let [choice, _] = found(&x, &pool)?;
    assert!(choice[..16].iter().all(|number| *number < 40.0), "{choice:?}");
    Ok(())
}

#[test]
fn a_choice_has_no_gradient() -> Result<()> {
    let gpu = gpu();
    let mut tape = Tape::new(gpu);
    let set = Set::of((0..CHANNELS * 4).map(|i| i as f32).collect());
    let pool = set.record(&mut tape)?;
    let map = tape.variable(&gpu.tensor([CHANNELS, 1, 4], &set.numbers)?);
    let choice = nearest(&mut tape, Vectors { map, ..pool }, pool)?;
    let upstream = tape.frozen(&Frozen::new([2, 1, 4], vec![1.0; 8])?);
    let error = tape.backward_from(choice, upstream).err().expect("refused").to_string();
    assert!(error.contains("detach"), "{error}");
    Ok(())
}
