//! A random number generator of our own, so that a seed means the same for ever.

use crate::splitmix::SplitMix64;

/// xoshiro256++, seeded by splitmix64.
#[derive(Clone, Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// A stream of its own for each purpose, so that one more draw for one purpose does not move the others.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut source = SplitMix64::new(seed ^ purpose.wrapping_mul(0xd134_2543_de82_ef95));
        Self([source.draw(), source.draw(), source.draw(), source.draw()])
    }

    /// The next number.
    #[allow(
        clippy::should_implement_trait,
        reason = "it never ends, and nothing iterates over it"
    )]
    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let moved = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= moved;
        *d = d.rotate_left(45);
        result
    }

    /// Below `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// An index of a list of this length.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// Around `mean`, mostly less and sometimes much more: from a twentieth to eight times of it.
    pub fn about(&mut self, mean: u64) -> u64 {
        let doubled = self.below(8);
        let low = (mean << doubled) / 128;
        self.between(low.max(mean / 20), (low * 2).max(mean / 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_sequence_and_purposes_are_apart() {
        let draw = |seed, purpose| {
            let mut random = Random::new(seed, purpose);
            (0..8).map(|_| random.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        let mut random = Random::new(7, 0);
        assert!((0..1000).all(|_| (3..=5).contains(&random.between(3, 5))));
    }
}
