//! Every target's body on stable: the committed seeds, changed seeds, and made-up inputs. The same
//! inputs in every run.

use hopshot_fuzz::Body;
use std::fs;
use std::path::Path;

/// Made-up inputs for each target, and changed copies of each seed.
const MADE_UP: u64 = 1_000;
const COPIES: u64 = 40;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

/// Octets flipped, the end cut off, or a piece of it twice.
fn change(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut octets = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(octets.len());
        match (random.below(5), octets.get_mut(at)) {
            (0, Some(_)) => octets.truncate(at),
            (1, Some(_)) => octets.extend_from_within(at..),
            (2, Some(octet)) => *octet = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            (_, Some(octet)) => *octet ^= 1 << random.below(8),
            (_, None) => octets = random.octets(40),
        }
    }
    octets
}

fn replay(target: &str) {
    let (_, body) = hopshot_fuzz::TARGETS
        .into_iter()
        .find(|(name, _)| *name == target)
        .expect("a target of that name");
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target);
    let mut random = Random(0x686f_7073_686f_7421);
    let mut files: Vec<_> = fs::read_dir(seeds)
        .expect("every target has seeds")
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        let seed = fs::read(file).unwrap();
        body(&seed);
        for _ in 0..COPIES {
            run(body, &change(&seed, &mut random));
        }
    }
    for _ in 0..MADE_UP {
        let len = random.below(600);
        run(body, &random.octets(len));
    }
}

/// Runs `body`; if it panics, `octets` are printed first, to be kept as a seed.
fn run(body: Body, octets: &[u8]) {
    struct Witness<'a>(&'a [u8]);
    impl Drop for Witness<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let hex: String = self.0.iter().map(|octet| format!("{octet:02x}")).collect();
                println!("failing input: {hex}");
            }
        }
    }
    let _witness = Witness(octets);
    body(octets);
}

#[test]
fn parse() {
    replay("parse");
}

#[test]
fn round_trip() {
    replay("round_trip");
}

#[test]
fn differential() {
    replay("differential");
}

#[test]
fn tracer() {
    replay("tracer");
}

#[test]
fn path() {
    replay("path");
}

#[test]
fn error_queue() {
    replay("error_queue");
}

#[test]
fn helper() {
    replay("helper");
}

#[test]
fn list() {
    replay("list");
}

#[test]
fn config() {
    replay("config");
}

#[test]
fn survey() {
    replay("survey");
}
