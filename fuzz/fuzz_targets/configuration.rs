#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillthere::cli::fuzzing::configuration::configuration(bytes));
