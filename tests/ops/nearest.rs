//! What is special about the nearest vectors: pieces, ties, and means that are large beside what differs.

use impasto::Result;
use impasto::gpu::Frozen;
use impasto::ops::{Vectors, gather, nearest};
use impasto::tape::{Tape, Var};

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

    /// Some of its vectors, with the mean of all.
    fn record(&self, tape: &mut Tape, range: std::ops::Range<usize>) -> Result<Vectors> {
        let rows = self.numbers.chunks(self.count());
        let some: Vec<f32> = rows.flat_map(|row| row[range.clone()].to_vec()).collect();
        let n = range.len();
        Ok(Vectors {
            map: tape.frozen(&Frozen::new([CHANNELS, 1, n], some)?),
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

/// Searches in pieces of a pool that begin at these vectors; the choice, and the chosen vectors.
fn found(x: &Set, pool: &Set, starts: &[usize]) -> Result<[Vec<f32>; 2]> {
    let gpu = gpu();
    let mut tape = Tape::new(gpu);
    let own = x.record(&mut tape, 0..x.count())?;
    let ends = starts[1..].iter().copied().chain([pool.count()]);
    let (mut choice, mut chosen): (Option<Var>, Option<Var>) = (None, None);
    let mut pieces = Vec::new();
    for (start, end) in starts.iter().zip(ends) {
        let piece = pool.record(&mut tape, *start..end)?;
        choice = Some(nearest(&mut tape, own, piece, *start, choice)?);
        pieces.push((piece, *start));
    }
    let choice = choice.expect("a piece");
    for (piece, start) in pieces {
        chosen = Some(gather(&mut tape, piece.map, choice, start, chosen)?);
    }
    let kept = [tape.keep(choice)?, tape.keep(chosen.expect("a piece"))?];
    let program = tape.finish()?;
    program.poison();
    pollster::block_on(program.run())?;
    Ok([pollster::block_on(gpu.read(&kept[0]))?, pollster::block_on(gpu.read(&kept[1]))?])
}

#[test]
fn pieces_give_what_the_whole_pool_gives() -> Result<()> {
    let mut rng = rng(1);
    let x = Set::of(random(&mut rng, CHANNELS * 36));
    let pool = Set::of(random(&mut rng, CHANNELS * 201));
    let whole = found(&x, &pool, &[0])?;
    assert_eq!(found(&x, &pool, &[0, 1, 80, 199])?, whole);
    for (place, number) in whole[0][..36].iter().enumerate() {
        for c in 0..CHANNELS {
            assert_eq!(whole[1][c * 36 + place], pool.numbers[c * 201 + *number as usize]);
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
    let [choice, _] = found(&x, &pool, &[0])?;
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
    // Every vector twice: in one search, and in two.
    let twice: Vec<f32> = some.chunks(40).flat_map(|row| [row, row].concat()).collect();
    let (x, pool) = (Set::of(random(&mut rng, CHANNELS * 16)), Set::of(twice));
    let [choice, _] = found(&x, &pool, &[0])?;
    assert!(choice[..16].iter().all(|number| *number < 40.0), "{choice:?}");
    assert_eq!(found(&x, &pool, &[0, 40])?[0], choice);
    Ok(())
}

#[test]
fn a_choice_has_no_gradient() -> Result<()> {
    let gpu = gpu();
    let mut tape = Tape::new(gpu);
    let set = Set::of((0..CHANNELS * 4).map(|i| i as f32).collect());
    let pool = set.record(&mut tape, 0..4)?;
    let map = tape.variable(&gpu.tensor([CHANNELS, 1, 4], &set.numbers)?);
    let choice = nearest(&mut tape, Vectors { map, ..pool }, pool, 0, None)?;
    let upstream = tape.frozen(&Frozen::new([2, 1, 4], vec![1.0; 8])?);
    let error = tape.backward_from(choice, upstream).err().expect("refused").to_string();
    assert!(error.contains("detach"), "{error}");
    Ok(())
}
