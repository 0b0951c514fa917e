//! monopod
