//! The program `backhaul`.

fn main() {}
