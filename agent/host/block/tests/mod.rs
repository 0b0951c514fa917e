//! On files and loop devices, with what real tools wrote.

mod effects;
mod layouts;
mod looks;
mod raid;
mod recorded;
