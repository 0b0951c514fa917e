//! Room on the engine's disk: looked at before a pull, and made by removing images that earlier boots loaded.

use std::path::Path;

use monopod_core::config::ImageRef;
use monopod_core::event::Event;
use monopod_core::image::space::{Layer, Room, room};
use monopod_core::plan::StepId;

use super::ImageError;
use super::store::Store;
use crate::context::Context;
use crate::host::docker::{EngineError, Removed};
use crate::host::{chain, files};

/// What is asked about the disk.
pub(super) struct Disk<'a> {
    pub(super) context: &'a Context,
    pub(super) store: &'a Store<'a>,
    /// Where the engine's data lies, if it says so.
    pub(super) data: Option<&'a Path>,
    pub(super) image: &'a ImageRef,
    /// Names that must not go.
    pub(super) keep: &'a [String],
}

impl Disk<'_> {
    /// Whether these fit as it is; yes where nobody says what is free.
    pub(super) fn fits(&self, layers: &[Layer]) -> bool {
        self.free()
            .is_none_or(|(_, free)| room(layers, free) == Room::Enough)
    }

    /// Refuses a pull that would not fit, after removing what may go. Where nobody says what is free, it goes on.
    pub(super) async fn ensure_room(&self, lacking: &[Layer]) -> Result<(), ImageError> {
        let Some((data, mut free)) = self.free() else {
            return Ok(());
        };
        let mut pruned = 0;
        let mut candidates = self.store.prunable(self.keep).into_iter();
        loop {
            let Room::Short { needs, .. } = room(lacking, free) else {
                return Ok(());
            };
            let Some(candidate) = candidates.next() else {
                return Err(ImageError::NoRoom {
                    image: Box::new(self.image.clone()),
                    needs,
                    free,
                    data: data.to_owned(),
                    pruned,
                });
            };
            pruned += usize::from(self.ensure_removed(&candidate).await?);
            free = self.free().map_or(free, |(_, free)| free);
        }
    }

    /// What a pull that filled the disk means, after everything that may go has gone.
    pub(super) async fn full(&self, source: EngineError) -> ImageError {
        let mut pruned = 0;
        for candidate in self.store.prunable(self.keep) {
            match self.ensure_removed(&candidate).await {
                Ok(removed) => pruned += usize::from(removed),
                Err(error) => {
                    tracing::info!("an old image stays, ignoring: {}", chain(&error));
                    break;
                }
            }
        }
        ImageError::DiskFull {
            image: Box::new(self.image.clone()),
            data: self.free().map(|(data, free)| (data.to_owned(), free)),
            pruned,
            source,
        }
    }

    fn free(&self) -> Option<(&Path, u64)> {
        let data = self.data?;
        match files::free_space(data) {
            Ok(free) => Some((data, free)),
            Err(error) => {
                tracing::info!("free space is not looked at, ignoring: {}", chain(&error));
                None
            }
        }
    }

    async fn ensure_removed(&self, image: &str) -> Result<bool, EngineError> {
        match self.context.engine.ensure_image_removed(image).await? {
            Removed::Gone => {
                self.store.removed(image);
                self.context.reporter.tell(Event::StepProgress {
                    step: StepId::Image,
                    text: format!("removed {image}, which an earlier boot loaded, to make room"),
                });
                Ok(true)
            }
            Removed::InUse => {
                tracing::debug!("{image} stays, a container is made of it");
                Ok(false)
            }
        }
    }
}
