//! Files that the commands for people read: user data, facts, the image's own.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use monopod_core::config::{self, Report, Style, Text};
use monopod_core::text;

use crate::host::image_layer::ImageFiles;
use crate::host::{chain, files};

/// A text that a person named.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Reads a file, or standard input for `-`; what went wrong is said.
pub(super) fn named(path: &Path) -> Option<Named> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        return match std::io::stdin().lock().read_to_end(&mut bytes) {
            Ok(_) => Some(Named {
                name: "standard input".to_owned(),
                bytes,
            }),
            Err(error) => {
                tracing::error!("cannot read standard input: {error}");
                None
            }
        };
    }
    match files::read(path) {
        Ok(Some(bytes)) => Some(Named {
            // A terminal would obey what a file's name may hold.
            name: text::printable(&path.display().to_string()),
            bytes,
        }),
        Ok(None) => {
            tracing::error!("there is no file {}", path.display());
            None
        }
        Err(error) => {
            tracing::error!("{}", chain(&error));
            None
        }
    }
}

/// The image's files; what went wrong is said.
pub(super) fn image(directory: &Path) -> Option<ImageFiles> {
    ImageFiles::read(directory)
        .map_err(|error| tracing::error!("{}", chain(&error)))
        .ok()
}

/// Reads user data as a machine of this image does.
pub(super) fn report(text: &Named, image: &ImageFiles) -> Report {
    config::read(
        Text {
            name: &text.name,
            bytes: &text.bytes,
        },
        &image.layer(),
    )
}

/// Colours for a terminal, unless `NO_COLOR` says otherwise (no-color.org).
pub(super) fn style() -> Style {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !unwanted {
        Style::Coloured
    } else {
        Style::Plain
    }
}
