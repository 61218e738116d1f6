//! How much the tests of load do, and in which order.

use std::cell::Cell;
use std::env;

/// `n` in a release build, a tenth of it in a debug build; times `MLUA_TEST_SCALE`, if that is set.
pub fn scaled(n: usize) -> usize {
    let build = if cfg!(debug_assertions) { 0.1 } else { 1.0 };
    let wish = env::var("MLUA_TEST_SCALE").map_or(1.0, |scale| {
        scale.parse().expect("MLUA_TEST_SCALE is a number")
    });
    ((n as f64 * build * wish) as usize).max(1)
}

/// Whether so little is wished for that each step must be very slow: a Lua that collects wherever it can.
pub fn tiny() -> bool {
    scaled(1000) < 20
}

/// Numbers in an order that is random but can be had again.
pub struct Random(Cell<u64>);

impl Random {
    /// From `MLUA_TEST_SEED`, if that is set, else a new one; printed, so that a failure can be had again.
    pub fn seeded() -> Random {
        let seed = match env::var("MLUA_TEST_SEED") {
            Ok(seed) => seed.parse().expect("MLUA_TEST_SEED is a number"),
            Err(_) => {
                std::time::SystemTime::UNIX_EPOCH
                    .elapsed()
                    .unwrap()
                    .as_nanos() as u64
                    & 0xffff_ffff
            }
        };
        println!("MLUA_TEST_SEED={seed}");
        Random(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    /// A number below `n`.
    pub fn below(&self, n: usize) -> usize {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        ((x >> 16) % n as u64) as usize
    }

    pub fn shuffle<T>(&self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
