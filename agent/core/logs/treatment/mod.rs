//! Stub until the real one is merged.
use super::batch::Batch;
use super::route::Treatment;
use serde::{Deserialize, Serialize};

/// Compiled.
#[derive(Debug, Default)]
pub struct Treater {}
/// Begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {}
/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treated {
    /// x
    pub excluded: u64,
    /// x
    pub sampled_out: u64,
    /// x
    pub redacted: u64,
    /// x
    pub cut: u64,
    /// x
    pub cut_bytes: u64,
    /// x
    pub excluded_bytes: u64,
}
/// x
#[derive(Debug, thiserror::Error)]
#[error("{pattern_of}: {reason}")]
pub struct PatternError {
    /// x
    pub pattern_of: &'static str,
    /// x
    pub reason: String,
}
impl Treater {
    /// x
    pub fn new(_treatment: &Treatment, _joins: bool) -> Result<Self, PatternError> {
        Ok(Self {})
    }
    /// x
    pub fn resume(&mut self, _pending: Vec<Pending>) {}
    /// x
    pub fn treat(&mut self, _batch: &mut Batch) -> Treated {
        Treated::default()
    }
    /// x
    pub fn pending(&self) -> &[Pending] {
        &[]
    }
    /// x
    pub fn flush(&mut self, _batch: &mut Batch) -> Treated {
        Treated::default()
    }
    /// x
    pub fn is_idle(&self) -> bool {
        true
    }
}
