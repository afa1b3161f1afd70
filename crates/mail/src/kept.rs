//! Memory of a bounded size for what was read and will be asked for again.
//!
//! When there is no room, any of it goes: FETCH and SEARCH look at a mailbox from one end to the
//! other, and dropping what was not asked for lately would drop all of a mailbox that is a little
//! too large, each time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

/// How seldom things are kept while there is no room.
const SELDOM: usize = 8;

/// What is kept.
pub(crate) trait Weighed: Clone {
    /// Octets of memory, by an estimate, with what keeping it takes.
    fn memory(&self) -> usize;
}

/// Values by key, of so many octets as the caller says each time.
pub(crate) struct Kept<K, V> {
    places: HashMap<K, usize>,
    list: Vec<(K, V)>,
    memory: usize,
    chance: u64,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            places: HashMap::new(),
            list: Vec::new(),
            memory: 0,
            chance: 0,
        }
    }
}

impl<K: Copy + Eq + Hash, V: Weighed> Kept<K, V> {
    pub(crate) fn get(&self, key: K) -> Option<V> {
        let (_, value) = self.list.get(*self.places.get(&key)?)?;
        Some(value.clone())
    }

    /// Keeps a value in place of the one that has the key, and drops others until there are at most
    /// `max` octets.
    pub(crate) fn put(&mut self, key: K, value: V, max: usize) {
        self.memory += value.memory();
        match self.places.entry(key) {
            Entry::Vacant(place) => {
                place.insert(self.list.len());
                self.list.push((key, value));
            }
            Entry::Occupied(place) => {
                if let Some((_, old)) = self.list.get_mut(*place.get()) {
                    self.memory -= old.memory();
                    *old = value;
                }
            }
        }
        while self.memory > max && !self.list.is_empty() {
            let any = self.chance(self.list.len());
            self.remove_at(any);
        }
    }

    pub(crate) fn remove(&mut self, key: K) {
        if let Some(place) = self.places.get(&key) {
            self.remove_at(*place);
        }
    }

    /// Octets of all values.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Whether it is worth keeping more. Without room, one time in [`SELDOM`]: what is far larger
    /// than the memory is not made anew each time it is read, and what is read now still replaces
    /// what was read once.
    pub(crate) fn wants_more(&mut self, max: usize) -> bool {
        max > 0 && (self.memory < max - max / 16 || self.chance(SELDOM) == 0)
    }

    /// A number below `below`. Nothing depends on how good this chance is.
    fn chance(&mut self, below: usize) -> usize {
        self.chance = self
            .chance
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(1);
        (self.chance >> 33) as usize % below
    }

    fn remove_at(&mut self, place: usize) {
        let (key, value) = self.list.swap_remove(place);
        self.memory -= value.memory();
        self.places.remove(&key);
        if let Some((moved, _)) = self.list.get(place) {
            self.places.insert(*moved, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that takes so much memory.
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Weight(usize);

    impl Weighed for Weight {
        fn memory(&self) -> usize {
            self.0
        }
    }

    fn sound(kept: &Kept<u64, Weight>) {
        let memory: usize = kept.list.iter().map(|(_, value)| value.memory()).sum();
        assert_eq!((kept.memory, kept.places.len()), (memory, kept.list.len()));
        for (place, (key, _)) in kept.list.iter().enumerate() {
            assert_eq!(kept.places.get(key), Some(&place));
        }
    }

    #[test]
    fn memory_is_bounded_and_a_part_of_what_does_not_fit_stays() {
        let mut kept = Kept::default();
        let (mut found, mut looked) = (0, 0);
        for round in 0..20 {
            for n in 0..200u64 {
                match kept.get(n) {
                    Some(value) => {
                        assert_eq!(value, Weight(n as usize));
                        found += i32::from(round > 0);
                    }
                    None => kept.put(n, Weight(n as usize), 10_000),
                }
                looked += i32::from(round > 0);
                assert!(kept.memory() <= 10_000);
                sound(&kept);
            }
        }
        assert!(found * 5 > looked, "{found} of {looked}");
    }

    #[test]
    fn without_room_things_are_kept_seldom_and_without_memory_never() {
        let mut kept = Kept::default();
        let wanted =
            |kept: &mut Kept<u64, Weight>, max| (0..800).filter(|_| kept.wants_more(max)).count();
        assert_eq!(wanted(&mut kept, 0), 0);
        assert_eq!(wanted(&mut kept, 10_000), 800);
        (0..95).for_each(|n| kept.put(n, Weight(100), 10_000));
        let seldom = wanted(&mut kept, 10_000);
        assert!((50..200).contains(&seldom), "{seldom}");
    }

    #[test]
    fn values_are_replaced_and_removed() {
        let mut kept = Kept::default();
        (0..5).for_each(|n| kept.put(n, Weight(1), 100));
        kept.put(3, Weight(7), 100);
        assert_eq!((kept.get(3), kept.memory()), (Some(Weight(7)), 11));
        kept.remove(1);
        kept.remove(1);
        assert_eq!((kept.get(1), kept.get(4)), (None, Some(Weight(1))));
        sound(&kept);
        kept.put(9, Weight(1), 0);
        assert!(kept.get(3).is_none() && kept.memory() == 0);
        sound(&kept);
    }
}
