//! The certificates that somebody put on this machine for one registry, in the engine's own folder.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use reqwest::Certificate;

use super::RegistryError;
use crate::host::files;

/// All of `FOLDER/REGISTRY/*.crt`; without the folder there are none.
pub(super) fn load(folder: &Path, registry: &str) -> Result<Vec<Certificate>, RegistryError> {
    let folder = folder.join(registry);
    let unusable = |path: &Path, what: String| RegistryError::Certificates {
        registry: registry.to_owned(),
        path: path.display().to_string(),
        what,
    };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unusable(&folder, error.to_string())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| unusable(&folder, error.to_string()))?
            .path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                let bytes =
                    files::read(&path).map_err(|error| unusable(&path, crate::host::chain(&error)))?;
                let more = Certificate::from_pem_bundle(&bytes.unwrap_or_default())
                    .map_err(|_| unusable(&path, "it is not in PEM form".to_owned()))?;
                if more.is_empty() {
                    return Err(unusable(&path, "it holds no certificate in PEM form".to_owned()));
                }
                found.extend(more);
            }
            Some("cert") => {
                return Err(RegistryError::ClientCertificate {
                    registry: registry.to_owned(),
                    path: path.display().to_string(),
                });
            }
            _ => {}
        }
    }
    Ok(found)
}
