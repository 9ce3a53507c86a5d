//! What a style looks like at its places.

use crate::error::{Error, Result};
use crate::picture::Colours;

/// What a style looks like at its places, in all rotations. It lies on the host: a `Pool` takes its share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StyleVectors {
    /// The layers, and how many numbers of a vector each of them has.
    pub(crate) layers: Vec<(String, usize)>,
    /// Mean and covariance of its colours, which a distance of directions does not see.
    pub(crate) colours: Colours,
    /// How many vectors there are.
    pub(crate) count: usize,
    /// One vector after the other; nothing where memory is only planned.
    pub(crate) numbers: Vec<f32>,
}

impl StyleVectors {
    /// Numbers of a vector.
    pub(crate) fn channels(&self) -> usize {
        self.layers.iter().map(|(_, channels)| channels).sum()
    }

    /// Room for so many more; where memory is only planned, none is needed.
    pub(crate) fn extend(&mut self, count: usize, planned: bool) {
        self.count += count;
        if !planned {
            self.numbers.resize(self.count * self.channels(), 0.0);
        }
    }

    /// Puts a column of a map, C×N, in the place of a vector.
    pub(crate) fn put(&mut self, vector: usize, map: &[f32], column: usize) {
        let channels = self.channels();
        let columns = map.len() / channels;
        let to = &mut self.numbers[vector * channels..][..channels];
        to.iter_mut().zip(map.iter().skip(column).step_by(columns)).for_each(|(to, v)| *to = *v);
    }

    /// Leaves out those from one on that do not count.
    pub(crate) fn retain(&mut self, first: usize, counts: impl Fn(usize) -> bool) {
        let (channels, mut kept) = (self.channels(), first);
        for vector in (first..self.count).filter(|vector| counts(vector - first)) {
            self.numbers.copy_within(vector * channels..(vector + 1) * channels, kept * channels);
            kept += 1;
        }
        self.count = kept;
        self.numbers.truncate(kept * channels);
    }

    /// That it is what these layers look like.
    ///
    /// # Errors
    /// [`Error::Usage`] when others were measured.
    pub(crate) fn check(&self, layers: &[&str]) -> Result<()> {
        if self.layers.iter().map(|(layer, _)| layer.as_str()).eq(layers.iter().copied()) {
            return Ok(());
        }
        let what = "the style was measured at other layers: measure it again".into();
        Err(Error::Usage(what))
    }

    /// Those of `wanted` vectors at equal distances, by number.
    pub(super) fn some(&self, wanted: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.count;
        let wanted = wanted.min(count);
        (0..wanted).map(move |at| (2 * at + 1) * count / (2 * wanted))
    }
}

/// A picture turned by 90° to the left: columns from the right become rows from the top. Any number of planes.
pub(crate) fn quarter_turn(planes: &[f32], (width, height): (u32, u32)) -> Vec<f32> {
    let (w, h) = (width as usize, height as usize);
    let turned = |plane: &[f32]| -> Vec<f32> {
        (0..w * h).map(|i| plane[i % h * w + (w - 1 - i / h)]).collect()
    };
    planes.chunks((w * h).max(1)).flat_map(turned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_quarter_turns_are_none() {
        let picture: Vec<f32> = (0..3 * 2 * 3_u8).map(f32::from).collect();
        let turned = quarter_turn(&picture, (3, 2));
        // 0 1 2 / 3 4 5 becomes 2 5 / 1 4 / 0 3.
        assert_eq!(&turned[..6], &[2.0, 5.0, 1.0, 4.0, 0.0, 3.0][..]);
        let again =
            (0..3).fold((turned, (2, 3)), |(rgb, (w, h)), _| (quarter_turn(&rgb, (w, h)), (h, w)));
        assert_eq!(again, (picture, (3, 2)));
    }

    #[test]
    fn some_lie_at_equal_distances() {
        let vectors = |count| StyleVectors { count, ..StyleVectors::default() };
        let some = |count, wanted| vectors(count).some(wanted).collect::<Vec<_>>();
        assert_eq!(some(8, 4), [1, 3, 5, 7]);
        assert_eq!(some(3, 9), [0, 1, 2]);
        assert_eq!(some(5, 1), [2]);
        assert!(some(0, 4).is_empty());
    }

    #[test]
    fn columns_that_count_become_vectors() {
        let layers = vec![("a".into(), 1), ("b".into(), 1)];
        let mut vectors = StyleVectors { layers, ..StyleVectors::default() };
        let map = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
        vectors.extend(1, false);
        vectors.put(0, &map, 2);
        vectors.extend(3, false);
        (0..3).for_each(|column| vectors.put(3 - column, &map, column));
        vectors.retain(1, |place| place != 1);
        assert_eq!((vectors.count, vectors.numbers), (3, vec![3.0, 30.0, 3.0, 30.0, 1.0, 10.0]));
    }
}
