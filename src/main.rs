//! The `unitbee` command.

fn main() {}
