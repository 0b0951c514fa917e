//! What is decided about getting the image: which digest a reference stands for, whether a pull stands still, whether
//! the disk has room, and whether the machine can run it.
//!
//! Pure functions over what the engine, the registry and the disk say; whoever asks them is in the agent.

pub mod pins;
pub mod platform;
pub mod progress;
pub mod space;
pub mod stall;
