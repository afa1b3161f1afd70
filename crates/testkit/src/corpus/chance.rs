//! Chance that can be repeated.

/// A small generator (SplitMix64): the same seed, the same numbers, everywhere.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A generator with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[expect(clippy::should_implement_trait, reason = "never ends, never an Option")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (which is above 0).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number in `from..to`.
    pub fn between(&mut self, from: usize, to: usize) -> usize {
        from + self.below((to - from) as u64) as usize
    }

    /// One of `choices`, which is not empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// That many characters of the base64 alphabet.
    pub fn base64(&mut self, count: usize) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::with_capacity(count);
        while out.len() < count {
            let mut bits = self.next();
            for _ in 0..10.min(count - out.len()) {
                out.push(char::from(ALPHABET[(bits & 63) as usize]));
                bits >>= 6;
            }
        }
        out
    }
}
