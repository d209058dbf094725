//! Nothing to generate yet: the wire messages come with the doors.
fn main() {}
