//! What is alike in all peers: the command line, the loop, the clock.
//!
//! ```text
//! PEER list                    the rows that this peer has
//! PEER count ROW N             check the row, then N rounds of it (for callgrind)
//! PEER time ROW MILLISECONDS   check it, then print nanoseconds per unit
//! PEER live same|distinct N    N live handles, to one object or to N; prints JSON
//! ```

use std::fmt::Debug;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROWS: &str = include_str!("../rows.tsv");

enum Mode {
    Count(u64),
    Time(Duration),
}

pub struct Meter {
    row: &'static str,
    units: usize,
    mode: Mode,
}

impl Meter {
    fn new(name: &str, mode: Mode) -> Self {
        let mut fields = ROWS
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'))
            .unwrap_or_else(|| panic!("rows.tsv has no row {name}"))
            .split('\t');
        let units = fields.next().unwrap().parse().unwrap();
        Self {
            row: fields.next_back().unwrap(),
            units,
            mode,
        }
    }

    /// How many units one round consists of.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Measures a row. What one round gives is compared once, before.
    pub fn run<T: Debug + PartialEq>(&self, expected: T, mut round: impl FnMut() -> T) {
        assert_eq!(round(), expected, "{}", self.row);
        self.rounds(round);
    }

    /// The same for values that cannot be compared.
    pub fn run_checked<T>(&self, check: impl FnOnce(T) -> bool, mut round: impl FnMut() -> T) {
        assert!(check(round()), "{}", self.row);
        self.rounds(round);
    }

    fn rounds<T>(&self, mut round: impl FnMut() -> T) {
        let mut repeat = |n: u64| {
            let start = Instant::now();
            for _ in 0..n {
                black_box(round());
            }
            start.elapsed()
        };
        match self.mode {
            Mode::Count(n) => {
                repeat(n);
            }
            Mode::Time(budget) => {
                let mut n = 1;
                while repeat(n) < Duration::from_millis(1) {
                    n *= 2;
                }
                let start = Instant::now();
                let mut batches = Vec::new();
                while batches.len() < 3 || start.elapsed() < budget {
                    batches.push(repeat(n).as_nanos() as f64);
                }
                batches.sort_by(f64::total_cmp);
                let median = batches[batches.len() / 2];
                println!("{:.3}", median / n as f64 / self.units as f64);
            }
        }
    }
}

/// What many live handles cost.
pub struct Live {
    count: usize,
    collect: Duration,
    memory: usize,
    numbers: Vec<(&'static str, f64)>,
}

impl Live {
    /// Before the first handle; `collect` is a full collection. Room for the handles may be reserved, not used.
    pub fn before(count: usize, collect: impl Fn()) -> Self {
        collect();
        Self {
            count,
            collect: shortest(collect),
            memory: memory(),
            numbers: Vec::new(),
        }
    }

    fn put(&mut self, name: &'static str, time: Duration, operations: usize) {
        let nanoseconds = time.as_nanos() as f64 / operations as f64;
        self.numbers.push((name, nanoseconds));
    }

    /// Make all handles.
    pub fn make(&mut self, f: impl FnOnce()) {
        let time = time(f);
        self.put("make", time, self.count);
        let bytes = memory().saturating_sub(self.memory) as f64 / self.count as f64;
        self.numbers.push(("bytes", bytes));
    }

    /// Calls, first of one handle, then of handles all over.
    pub fn call(&mut self, mut f: impl FnMut(usize)) {
        const CALLS: usize = 100_000;
        let one = time(|| (0..CALLS).for_each(|_| f(self.count / 2)));
        self.put("call one", one, CALLS);
        let mut at = 0;
        let spread = time(|| {
            for _ in 0..CALLS {
                at = (at + 7_368_787) % self.count; // a prime: comes to all
                f(at);
            }
        });
        self.put("call spread", spread, CALLS);
    }

    /// A full collection. What it took before there were handles is taken off.
    pub fn collect(&mut self, f: impl Fn()) {
        let time = shortest(f);
        self.put("collect", time.saturating_sub(self.collect), self.count);
        self.put("pause", time, 1);
    }

    /// Drop all handles.
    pub fn drop(&mut self, f: impl FnOnce()) {
        let time = time(f);
        self.put("drop", time, self.count);
        let numbers: Vec<_> = self
            .numbers
            .iter()
            .map(|(name, value)| format!("\"{name}\": {value:.1}"))
            .collect();
        println!("{{{}}}", numbers.join(", "));
    }
}

fn time(f: impl FnOnce()) -> Duration {
    let start = Instant::now();
    f();
    start.elapsed()
}

fn shortest(f: impl Fn()) -> Duration {
    (0..3).map(|_| time(&f)).min().unwrap()
}

/// Bytes of this process that are in memory.
fn memory() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse().ok());
    pages.unwrap_or(0) * 4096
}

pub type Rows<F> = &'static [(&'static str, F)];

/// `call` measures a row; `live(count, distinct)` goes through `Live`'s functions in their order.
pub fn main<F: Copy>(rows: Rows<F>, call: impl Fn(F, &Meter), live: impl Fn(usize, bool)) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = |name: &str, mode| {
        let row = rows.iter().find(|row| row.0 == name);
        let (name, f) = row.unwrap_or_else(|| panic!("no row {name} here"));
        call(*f, &Meter::new(name, mode));
    };
    let number = |n: &str| n.parse().expect("a number");
    match arguments[..] {
        ["list"] => rows.iter().for_each(|(name, _)| println!("{name}")),
        ["count", name, n] => run(name, Mode::Count(number(n))),
        ["time", name, ms] => run(name, Mode::Time(Duration::from_millis(number(ms)))),
        ["live", "same", n] => live(number(n) as usize, false),
        ["live", "distinct", n] => live(number(n) as usize, true),
        _ => panic!("usage: list | count ROW N | time ROW MILLISECONDS | live same|distinct N"),
    }
}

/// Makes `ROWS`, the table of rows, from their functions' names and type.
macro_rules! rows {
    ($type:ty; $($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        const ROWS: $crate::meter::Rows<$type> = &[$($(#[$attribute])* (stringify!($name), $name)),*];
    };
}
pub(crate) use rows;
