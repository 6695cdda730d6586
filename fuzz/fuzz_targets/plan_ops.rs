#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    backhaul::fuzzing::plan_ops(bytes);
});
