//! The demo: to come.

fn main() {}
