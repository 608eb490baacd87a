//! The program `build-deploy`.
fn main() {}
