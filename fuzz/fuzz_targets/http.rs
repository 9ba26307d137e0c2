#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stillthere::observe::admin::fuzzing::http(bytes));
