//! What the fuzz targets look for, without a fuzzer: in their seeds, and in mutants of these. So no target goes stale.
//!
//! The decoder's is tried on mutated events, beside the worker that has to bear them.

#[path = "../../../fuzz/addresses.rs"]
mod addresses;
#[path = "../../../fuzz/bodies.rs"]
mod bodies;
#[path = "../../../fuzz/forwarded.rs"]
mod forwarded;
#[path = "../../../fuzz/tokens.rs"]
mod tokens;

use std::{fs, path::Path};

use mutants::{Dice, mutated_bytes};

const MUTANTS: usize = 8_000;

#[test]
fn no_text_becomes_an_address_with_two_spellings() {
    try_seeds_and_mutants("addresses", addresses::check);
}

#[test]
fn no_answer_repeats_what_a_body_or_a_query_held() {
    try_seeds_and_mutants("bodies", bodies::check);
}

#[test]
fn no_forwarded_field_makes_a_stranger_somebody_else() {
    try_seeds_and_mutants("forwarded", forwarded::check);
}

#[test]
fn no_altered_token_is_taken() {
    try_seeds_and_mutants("tokens", tokens::check);
}

fn try_seeds_and_mutants(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.into_iter().map(|path| fs::read(path).unwrap()).collect();
    for seed in &seeds {
        check(seed);
    }
    let mut dice = Dice::seeded(11);
    for _ in 0..MUTANTS {
        let seed = &seeds[dice.below(seeds.len())];
        let mut mutant = mutated_bytes(&mut dice, seed);
        if dice.below(4) == 0 {
            // The beginning of one and the end of another.
            let other = &seeds[dice.below(seeds.len())];
            mutant.truncate(dice.below(mutant.len()));
            mutant.extend(&other[dice.below(other.len())..]);
        }
        check(&mutant);
    }
}
