//! What a container's image says about itself: `/scm-source.json` by the archive API, which needs nothing to run and sees
//! a container that was never started; labels and date by the image's own description.
//!
//! Invariant: whatever lies under that name, some tens of KiB are read of it at most and nobody waits for more. A link is
//! not followed: it could name anything in the container, volumes among it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, InspectContainerOptions};
use futures_util::StreamExt as _;
use monopod_core::text;
use monopod_core::trace::{OfImage, SCM_FILE, SCM_MOST_BYTES, ScmFile};
use tar::EntryType;

use super::{ASK, Engine, EngineError, What};

/// The file, its header, and headers before it for long names and attributes.
const MOST_OF_ARCHIVE: usize = 96 << 10;
/// An engine that fails over the file itself is asked so often before it counts as unreadable.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

impl Engine {
    /// What the image of this container says. An error is the engine's; whatever is wrong with the file is a value.
    pub async fn of_image(&self, id: &str) -> Result<OfImage, EngineError> {
        let (scm, (labels, created)) = futures_util::try_join!(self.scm_source(id), self.image_of(id))?;
        Ok(OfImage { scm, labels, created })
    }

    async fn scm_source(&self, id: &str) -> Result<ScmFile, EngineError> {
        let mut attempt = 1;
        loop {
            match self.read_scm_source(id).await {
                Err(EngineError::NotFound { message, .. }) if !message.contains("No such container") => {
                    return Ok(ScmFile::Missing);
                }
                Err(EngineError::Refused { message, .. } | EngineError::BadRequest { message, .. })
                    if attempt == ATTEMPTS =>
                {
                    return Ok(ScmFile::Unreadable {
                        why: format!("the engine could not read it: {message}"),
                    });
                }
                Err(EngineError::Refused { .. } | EngineError::BadRequest { .. }) => {
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn read_scm_source(&self, id: &str) -> Result<ScmFile, EngineError> {
        let what = || What::Read {
            id: id.to_owned(),
            file: SCM_FILE,
        };
        let docker = self.docker(&what())?;
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(SCM_FILE)
            .build();
        let gather = async {
            let mut stream = std::pin::pin!(docker.download_from_container(id, Some(options)));
            let mut archive = Vec::new();
            while let Some(piece) = stream.next().await {
                let piece = piece.map_err(|source| EngineError::from_call(what(), &self.host, source))?;
                archive.extend_from_slice(&piece);
                // Of a directory or a large file this is enough; the engine stops when nobody reads on.
                if archive.len() >= MOST_OF_ARCHIVE {
                    break;
                }
            }
            Ok(archive)
        };
        match tokio::time::timeout(ASK, gather).await {
            Ok(archive) => Ok(file_of(&archive?)),
            Err(_) => Err(EngineError::Silent {
                what: what(),
                host: self.host.clone(),
                after: ASK,
            }),
        }
    }

    /// Labels and date of the image that a container was made of. An image that is gone says nothing.
    async fn image_of(&self, id: &str) -> Result<(BTreeMap<String, String>, Option<String>), EngineError> {
        let subject = format!("the container {}", text::short_id(id));
        let options = None::<InspectContainerOptions>;
        let container = self
            .within(ASK, What::Inspect { subject }, |docker| {
                docker.inspect_container(id, options)
            })
            .await?;
        let Some(image) = container.image else {
            return Ok(Default::default());
        };
        let subject = format!("image {}", text::short_id(&image));
        let asked = self.within(ASK, What::Inspect { subject }, |docker| {
            docker.inspect_image(&image)
        });
        match asked.await {
            Ok(found) => {
                let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
                Ok((
                    labels.into_iter().collect(),
                    found.created.map(|at| at.to_string()),
                ))
            }
            Err(EngineError::NotFound { .. }) => Ok(Default::default()),
            Err(error) => Err(error),
        }
    }
}

/// The one file of an archive, which may be cut off.
fn file_of(archive: &[u8]) -> ScmFile {
    let mut archive = tar::Archive::new(archive);
    let Some(Ok(mut entry)) = archive.entries().ok().and_then(|mut entries| entries.next()) else {
        return ScmFile::Torn;
    };
    let what = match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let bytes = entry.size();
            if bytes > SCM_MOST_BYTES {
                return ScmFile::TooLarge { bytes };
            }
            let mut content = Vec::new();
            return match entry.read_to_end(&mut content) {
                Ok(read) if read as u64 == bytes => ScmFile::Content(content),
                Ok(_) | Err(_) => ScmFile::Torn,
            };
        }
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Directory => "a directory",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        _ => "something else than a file",
    };
    ScmFile::NotAFile { what }
}

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};

    use super::*;

    fn archive(kind: EntryType, content: &[u8], link: Option<&str>) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        match link {
            Some(target) => builder
                .append_link(&mut header, "scm-source.json", target)
                .unwrap(),
            None => builder
                .append_data(&mut header, "scm-source.json", content)
                .unwrap(),
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn one_regular_file_is_read() {
        let text = br#"{"url": "x"}"#;
        let whole = archive(EntryType::Regular, text, None);
        assert_eq!(file_of(&whole), ScmFile::Content(text.to_vec()));
        assert_eq!(
            file_of(&archive(EntryType::Regular, b"", None)),
            ScmFile::Content(Vec::new())
        );
        for cut in [0, 1, 511, 512, 515] {
            assert_eq!(file_of(&whole[..cut]), ScmFile::Torn, "{cut}");
        }
        assert_eq!(file_of(&[0xff; 2048]), ScmFile::Torn);
        assert_eq!(file_of(&[0; 1024]), ScmFile::Torn);
    }

    #[test]
    fn what_is_no_file_is_said_and_nothing_follows_it() {
        for (kind, link, what) in [
            (EntryType::Symlink, Some("/etc/passwd"), "a symbolic link"),
            (EntryType::Link, Some("etc/shadow"), "a hard link"),
            (EntryType::Directory, None, "a directory"),
            (EntryType::Fifo, None, "a pipe"),
            (EntryType::Char, None, "a device"),
            (EntryType::new(b'Z'), None, "something else than a file"),
        ] {
            let found = file_of(&archive(kind, b"", link));
            assert_eq!(found, ScmFile::NotAFile { what }, "{kind:?}");
        }
    }

    #[test]
    fn a_large_file_is_known_by_its_header() {
        let bytes = SCM_MOST_BYTES + 1;
        let large = archive(
            EntryType::Regular,
            &vec![b'x'; usize::try_from(bytes).unwrap()],
            None,
        );
        assert_eq!(file_of(&large[..4096]), ScmFile::TooLarge { bytes });
        let most = archive(EntryType::Regular, &vec![b' '; 64 << 10], None);
        assert!(most.len() <= MOST_OF_ARCHIVE);
        assert!(matches!(file_of(&most), ScmFile::Content(content) if content.len() == 64 << 10));
    }
}
