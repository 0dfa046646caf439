#![no_main]

#[path = "../tokens.rs"]
mod tokens;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tokens::check(bytes));
