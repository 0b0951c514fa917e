//! Stand-in.
use super::BlockError;
use monopod_core::config::Raid;
use monopod_core::storage::{Active, Member, RaidAction};
use std::path::{Path, PathBuf};
pub async fn members(_paths: &[PathBuf]) -> Result<Vec<Member>, BlockError> { Ok(vec![]) }
pub async fn active_arrays() -> Result<Vec<Active>, BlockError> { Ok(vec![]) }
pub async fn ensure_array(raid: &Raid, _: &[Member], _: &RaidAction) -> Result<PathBuf, BlockError> { Ok(Path::new(&raid.device).to_owned()) }
