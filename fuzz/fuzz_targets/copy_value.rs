#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    backhaul_connectors::fuzzing::copy_value(bytes);
});
