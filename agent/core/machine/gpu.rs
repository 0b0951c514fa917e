//! By which of the engine's ways a container gets graphics processors.
//!
//! Engines since 25 can read CDI, descriptions of devices that the NVIDIA toolkit writes into a directory; then nothing of
//! NVIDIA's has to be registered with the engine. Where there is no such description, NVIDIA's own hook is asked for, as
//! ever since 19.03.

use serde::Serialize;

/// What CDI calls all processors of NVIDIA.
pub const ALL: &str = "nvidia.com/gpu=all";
/// The kind of device in such a description.
const KIND: &str = "nvidia.com/gpu";

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// By NVIDIA's hook.
    Hook,
    /// By the name in a description.
    Cdi,
}

/// What the engine says about itself in `GET /info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// `CDISpecDirs`: empty where CDI is off, and of engines that never heard of it.
    pub directories: Vec<String>,
    /// `DiscoveredDevices` by their names, of engines since 28.2.
    pub devices: Vec<String>,
}

impl Engine {
    /// `described` tells whether one of the directories holds a description of NVIDIA's.
    pub fn way(&self, described: impl FnOnce(&[String]) -> bool) -> Way {
        if self.devices.iter().any(|device| device == ALL) {
            return Way::Cdi;
        }
        if !self.directories.is_empty() && described(&self.directories) {
            return Way::Cdi;
        }
        Way::Hook
    }
}

/// Whether a file in such a directory describes NVIDIA's processors, and all of them by one name: YAML or JSON, read as text,
/// since the rest of it is the engine's business.
pub fn describes(text: &str) -> bool {
    let value_of = |line: &str, key: &str| {
        let line = line.trim().trim_start_matches(['-', ' ']).replace('"', "");
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().trim_end_matches(',').trim_matches('\'').to_owned())
    };
    // JSON on one line has its commas in place of line ends.
    let lines = || text.split(['\n', ',', '{', '}', '[', ']']);
    let says = |key: &str, wanted: &str| lines().any(|line| value_of(line, key).as_deref() == Some(wanted));
    says("kind", KIND) && says("name", "all")
}
