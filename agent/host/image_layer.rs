//! What the machine's image says about every container on it: `/etc/monopod`.
//!
//! ```text
//! defaults.yaml        values below the user data's
//! defaults.d/*.yaml    more of them, in the order of their names
//! policy.yaml          what user data may ask for
//! keys/team.pub        and wherever else the policy says that public keys lie
//! image.json           what the image is
//! ```
//!
//! Each may be missing. One that is there and cannot be read is an error: a policy that is passed over is worse than
//! none.

use std::path::{Path, PathBuf};

use monopod_core::config::{ImageLayer, KeyFile, Text, policy_key_files};
use monopod_core::text;
use monopod_core::trace::AmiFile;
use monopod_core::trust::key::PublicKey;

use super::files::{self, FileError};
use super::{chain, signature};

/// Where they lie unless told.
pub const DIRECTORY: &str = "/etc/monopod";

/// The files as they were read.
#[derive(Clone, Debug, Default)]
pub struct ImageFiles {
    defaults: Vec<(String, Vec<u8>)>,
    policy: Option<(String, Vec<u8>)>,
    /// Those that the policy names, by the path it gives them; or why one can't be used.
    keys: Vec<(String, Result<Vec<u8>, String>)>,
}

impl ImageFiles {
    /// Reads what is there.
    pub fn read(directory: &Path) -> Result<Self, FileError> {
        for name in ["defaults.yml", "policy.yml"] {
            let path = directory.join(name);
            // A link that leads nowhere was meant to be read too.
            if path.symlink_metadata().is_ok() {
                return Err(misnamed(&path));
            }
        }
        let mut paths = vec![directory.join("defaults.yaml")];
        paths.extend(drop_ins(&directory.join("defaults.d"))?);
        let mut defaults = Vec::new();
        for path in paths {
            if let Some(bytes) = files::read(&path)? {
                defaults.push((path.display().to_string(), bytes));
            }
        }
        let path = directory.join("policy.yaml");
        let policy = files::read(&path)?.map(|bytes| (path.display().to_string(), bytes));
        let named = policy.as_ref().map(|(_, bytes)| policy_key_files(bytes));
        let keys = named
            .unwrap_or_default()
            .into_iter()
            .map(|path| {
                let content = key(directory, &path);
                (path, content)
            })
            .collect();
        Ok(Self {
            defaults,
            policy,
            keys,
        })
    }

    /// As the configuration takes them.
    pub fn layer(&self) -> ImageLayer<'_> {
        fn text((name, bytes): &(String, Vec<u8>)) -> Text<'_> {
            Text { name, bytes }
        }
        ImageLayer {
            defaults: self.defaults.iter().map(text).collect(),
            policy: self.policy.as_ref().map(text),
            keys: self
                .keys
                .iter()
                .map(|(path, content)| KeyFile {
                    path,
                    content: content.as_deref().map_err(String::as_str),
                })
                .collect(),
        }
    }

    /// What was there.
    pub fn names(&self) -> Vec<&str> {
        let all = self.defaults.iter().chain(&self.policy);
        all.map(|(name, _)| name.as_str()).collect()
    }
}

/// A file that the policy calls `/etc/monopod/...`, which is wherever the directory is. What is wrong with it is the
/// policy's mistake, and said there.
fn key(directory: &Path, path: &str) -> Result<Vec<u8>, String> {
    let below = path
        .strip_prefix(DIRECTORY)
        .map(|rest| rest.trim_start_matches('/'));
    let path = below.map_or_else(|| PathBuf::from(path), |below| directory.join(below));
    let bytes = match files::read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err("the machine's image has no such file".to_owned()),
        Err(error) => return Err(chain(&error)),
    };
    match PublicKey::parse(&bytes) {
        Ok(key) if !signature::is_on_curve(&key) => {
            Err("its point does not lie on the curve P-256".to_owned())
        }
        // What is no key at all is said by whoever reads it.
        Ok(_) | Err(_) => Ok(bytes),
    }
}

/// What the machine's image says about itself; whatever is wrong with that file is a value.
pub fn machine_image(directory: &Path) -> AmiFile {
    const MOST: u64 = 64 << 10;
    let path = directory.join("image.json");
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return AmiFile::Missing,
        Ok(found) if !found.is_file() => return AmiFile::Unreadable("it is no file".to_owned()),
        Ok(found) if found.len() > MOST => {
            return AmiFile::Unreadable(format!("it has more than {}", text::bytes(MOST)));
        }
        Ok(_) | Err(_) => {}
    }
    match files::read(&path) {
        Ok(Some(bytes)) => AmiFile::Content(bytes),
        Ok(None) => AmiFile::Missing,
        Err(error) => AmiFile::Unreadable(chain(&error)),
    }
}

/// Passed over, it would be a policy that allows everything.
fn misnamed(path: &Path) -> FileError {
    let wanted = path.with_extension("yaml");
    let name = wanted.file_name().unwrap_or_default().display();
    let why = format!("it must be called {name}");
    FileError::new(
        "read",
        path,
        std::io::Error::new(std::io::ErrorKind::InvalidFilename, why),
    )
}

/// In the order of their names; what does not end in `.yaml` (an editor's backup, a package's leftover) is none.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let error = |source| FileError::new("list", directory, source);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(error(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(error)?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") => paths.push(path),
            Some("yml") => return Err(misnamed(&path)),
            _ => {}
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_the_other_ending_is_not_passed_over() {
        let directory = std::env::temp_dir().join(format!("monopod-image-yml-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("defaults.d")).unwrap();
        for (name, wanted) in [
            ("policy.yml", "policy.yaml"),
            ("defaults.yml", "defaults.yaml"),
            ("defaults.d/10-a.yml", "10-a.yaml"),
        ] {
            let path = directory.join(name);
            std::fs::write(&path, "").unwrap();
            let error = ImageFiles::read(&directory).unwrap_err();
            assert_eq!(
                chain(&error),
                format!("cannot read {}: it must be called {wanted}", path.display())
            );
            std::fs::remove_file(&path).unwrap();
        }
        assert!(ImageFiles::read(&directory).is_ok());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_there_is_read_in_order() {
        let directory = std::env::temp_dir().join(format!("monopod-image-layer-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("defaults.d")).unwrap();
        let none = ImageFiles::read(&directory).unwrap();
        assert!(none.names().is_empty() && none.layer().policy.is_none());
        for name in [
            "defaults.d/20-b.yaml",
            "defaults.d/10-a.yaml",
            "defaults.d/10-a.yaml~",
            "defaults.yaml",
            "policy.yaml",
        ] {
            std::fs::write(directory.join(name), name).unwrap();
        }
        let all = ImageFiles::read(&directory).unwrap();
        let names: Vec<&str> = all
            .names()
            .iter()
            .map(|name| name.rsplit('/').next().unwrap())
            .collect();
        assert_eq!(names, ["defaults.yaml", "10-a.yaml", "20-b.yaml", "policy.yaml"]);
        assert_eq!(all.layer().defaults[1].bytes, b"defaults.d/10-a.yaml");
        let policy = "images: [{match: '**', require: signature, keys: [/etc/monopod/keys/a.pub, /etc/monopod/keys/off.pub, /etc/monopod/no.pub]}]";
        std::fs::write(directory.join("policy.yaml"), policy).unwrap();
        std::fs::create_dir_all(directory.join("keys")).unwrap();
        std::fs::write(directory.join("keys/a.pub"), "no key").unwrap();
        std::fs::write(directory.join("keys/off.pub"), signature::tests::off_the_curve()).unwrap();
        let all = ImageFiles::read(&directory).unwrap();
        let layer = all.layer();
        let content: Vec<_> = layer.keys.iter().map(|key| (key.path, key.content)).collect();
        assert_eq!(
            content,
            [
                ("/etc/monopod/keys/a.pub", Ok(&b"no key"[..])),
                (
                    "/etc/monopod/keys/off.pub",
                    Err("its point does not lie on the curve P-256")
                ),
                ("/etc/monopod/no.pub", Err("the machine's image has no such file")),
            ]
        );
        std::fs::remove_file(directory.join("policy.yaml")).unwrap();
        std::fs::create_dir(directory.join("policy.yaml")).unwrap();
        assert!(
            ImageFiles::read(&directory).is_err(),
            "a policy that cannot be read is no missing policy"
        );
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
