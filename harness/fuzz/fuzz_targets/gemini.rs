#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| timeslip_fuzz::respond("gemini", body));
