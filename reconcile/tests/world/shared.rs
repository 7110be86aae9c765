//! A part of the world that worlds have in common until one of them changes it, so that millions of them can be made.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Copied when it is changed; its key is worked out once.
pub(crate) struct Shared<T> {
    part: Rc<T>,
    key: Cell<Option<u128>>,
}

impl<T> Shared<T> {
    pub(crate) fn new(part: T) -> Self {
        Self { part: Rc::new(part), key: Cell::new(None) }
    }

    /// Whether both are one and the same, and not only equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.part, &other.part)
    }
}

impl<T: Hash> Shared<T> {
    /// Equal parts have equal keys; different ones have different keys, but for once in 2^64 pairs or so.
    pub(crate) fn key(&self) -> u128 {
        self.key.get().unwrap_or_else(|| {
            let key = Mixer::of(&*self.part);
            self.key.set(Some(key));
            key
        })
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { part: Rc::clone(&self.part), key: self.key.clone() }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.part
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.key.set(None);
        Rc::make_mut(&mut self.part)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.part == other.part
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: std::fmt::Debug> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.part.fmt(f)
    }
}

/// Hashes to 128 bits, in two lanes that mix differently. Quick on short texts and numbers, and the same in every run.
#[derive(Default)]
pub(crate) struct Mixer(u64, u64);

impl Mixer {
    pub(crate) fn of(value: &impl Hash) -> u128 {
        let mut mixer = Self(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
        value.hash(&mut mixer);
        mixer.key()
    }

    pub(crate) fn key(&self) -> u128 {
        let (low, high) = (fold(self.0, 0x9e37_79b9_7f4a_7c15 ^ self.1), fold(self.1, 0xc2b2_ae3d_27d4_eb4f ^ self.0));
        u128::from(low) | (u128::from(high) << 64)
    }

    fn take(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, 0xa076_1d64_78bd_642f);
        self.1 = fold(self.1.rotate_left(23) ^ word ^ 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3);
    }
}

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left).wrapping_mul(u128::from(right));
    let low = product as u64;
    let high = (product >> 64) as u64;
    low ^ high
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.take(u64::from_le_bytes(word) ^ ((chunk.len() as u64) << 56));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.take(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.take(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.take(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.take(value as u64);
    }
}
