//! Room on the engine's disk: looked at before a pull, and made by removing images that earlier boots loaded.

use std::cell::Cell;
use std::path::Path;

use monopod_core::config::ImageRef;
use monopod_core::event::Event;
use monopod_core::image::space::{Layer, RESERVE, Room, room};
use monopod_core::plan::StepId;
use monopod_core::plan::reconcile::Removal;
use monopod_core::text;
use tokio::time::Instant;

use super::ImageError;
use super::store::Store;
use crate::boot::steps::container;
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
    /// Containers of ours that have ended and will not be started again: they hold their images.
    pub(super) ended: Cell<&'a [Removal]>,
    pub(super) deadline: Instant,
    /// Whether a pull that may not fit was told about.
    pub(super) told: Cell<bool>,
}

/// What came of removing images of ours.
struct Pruned {
    free: u64,
    removed: usize,
    /// Those that stay, and what the engine says about that.
    kept: Vec<(String, String)>,
}

impl Disk<'_> {
    /// Whether these fit as it is; yes where nobody says what is free.
    pub(super) fn fits(&self, layers: &[Layer]) -> bool {
        self.free()
            .is_none_or(|(_, free)| room(layers, free) == Room::Enough)
    }

    /// Refuses a pull that can't fit, after removing what may go. Where nobody says what is free, it goes on.
    pub(super) async fn ensure_room(&self, lacking: &[Layer]) -> Result<(), ImageError> {
        let Some((data, free)) = self.free() else {
            return Ok(());
        };
        let mut pruned = self.prune(lacking, free).await?;
        let is_short = matches!(room(lacking, pruned.free), Room::Short { .. });
        if is_short && !self.ended.get().is_empty() {
            container::ensure_removed(self.context, self.ended.take(), self.deadline).await?;
            let before = pruned.removed;
            pruned = self.prune(lacking, pruned.free).await?;
            pruned.removed += before;
        }
        let Pruned { free, removed, kept } = pruned;
        match room(lacking, free) {
            Room::Enough => Ok(()),
            Room::Tight { wants } => {
                self.tell_tight(data, wants, free);
                Ok(())
            }
            Room::Short { needs, wants } => Err(ImageError::NoRoom {
                image: Box::new(self.image.clone()),
                needs,
                wants,
                free,
                data: data.to_owned(),
                pruned: removed,
                kept,
            }),
        }
    }

    /// Removes images of ours, the oldest first, until there is enough room or no such image.
    async fn prune(&self, lacking: &[Layer], free: u64) -> Result<Pruned, EngineError> {
        let mut pruned = Pruned {
            free: self.free().map_or(free, |(_, free)| free),
            removed: 0,
            kept: Vec::new(),
        };
        for candidate in self.store.prunable(self.keep) {
            if room(lacking, pruned.free) == Room::Enough {
                break;
            }
            match self.ensure_removed(&candidate).await? {
                Removed::Gone => pruned.removed += 1,
                Removed::InUse { message } => pruned.kept.push((candidate, message)),
            }
            pruned.free = self.free().map_or(pruned.free, |(_, free)| free);
        }
        Ok(pruned)
    }

    fn tell_tight(&self, data: &Path, wants: u64, free: u64) {
        if self.told.replace(true) {
            return;
        }
        let text = format!(
            "{} may not fit: images of its size need up to {} on the disk of {}, {} of it for everything else, and {} are free; it is pulled all the same; give the machine a larger disk if the pull fails",
            self.image,
            text::bytes(wants),
            data.display(),
            text::bytes(RESERVE),
            text::bytes(free)
        );
        self.context.reporter.tell(Event::Warning { text });
    }

    /// What a pull that filled the disk means, after everything that may go has gone.
    pub(super) async fn full(&self, source: EngineError) -> ImageError {
        let mut pruned = 0;
        for candidate in self.store.prunable(self.keep) {
            match self.ensure_removed(&candidate).await {
                Ok(removed) => pruned += usize::from(removed == Removed::Gone),
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

    async fn ensure_removed(&self, image: &str) -> Result<Removed, EngineError> {
        let removed = self.context.engine.ensure_image_removed(image).await?;
        match &removed {
            Removed::Gone => {
                self.store.removed(image);
                self.context.reporter.tell(Event::StepProgress {
                    step: StepId::Image,
                    text: format!("removed {image}, which an earlier boot loaded, to make room"),
                });
            }
            Removed::InUse { message } => tracing::debug!("{image} stays: {message}"),
        }
        Ok(removed)
    }
}
