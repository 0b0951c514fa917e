//! What can happen to a machine's engine, and to the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::layout::make_dir;
use crate::machine::Machine;
use crate::process::tool;

impl Machine {
    /// Stops and starts the engine, as `systemctl restart docker` does.
    pub fn restart_engine(&self) {
        self.stop_engine();
        self.start_engine();
    }

    /// SIGTERM; with live-restore (the default here, as in the image) containers go on.
    pub fn stop_engine(&self) {
        self.slot().get().engine.stop();
    }

    /// SIGKILL; with live-restore containers go on.
    pub fn kill_engine(&self) {
        self.slot().get().engine.kill();
    }

    /// Starts the engine after a stop, a kill or a cut of the power.
    pub fn start_engine(&self) {
        self.slot().get().start_engine();
    }

    /// The engine is there and answers nothing, until [`Self::thaw_engine`].
    pub fn freeze_engine(&self) {
        self.slot().get().engine.freeze();
    }

    /// Ends [`Self::freeze_engine`].
    pub fn thaw_engine(&self) {
        self.slot().get().engine.thaw();
    }

    /// Restarts the engine with live-restore on or off; off, containers stop with it. On again with the next lease.
    pub fn set_live_restore(&self, on: bool) {
        self.stop_engine();
        self.slot().get().engine.set_live_restore(on);
        self.start_engine();
    }

    /// The last lines of the engine's log, for a failure's message.
    #[must_use]
    pub fn engine_log(&self) -> String {
        self.slot().get().engine.tail()
    }

    pub(crate) fn engine_log_path(&self) -> PathBuf {
        self.slot().get().engine.log()
    }

    /// Has a container of the image `web` (or one made of it) killed by the kernel for taking too much memory: its
    /// limit is lowered first, or it would take what the machine has.
    pub fn starve(&self, name: &str) {
        self.docker_ok(&["update", "--memory", "64m", "--memory-swap", "64m", name]);
        self.docker_ok(&["kill", "--signal", "USR1", name]);
    }

    /// Puts the engine's data on an empty file system of this size, until the lease ends or the power is cut. Programs
    /// see it that are started from now on.
    pub fn small_disk(&self, bytes: u64) {
        self.stop_engine();
        let mut slot = self.slot();
        let slot = slot.get();
        let output = tool("nsenter")
            .arg(format!("--mount=/proc/{}/ns/mnt", slot.sandbox.init()))
            .args(["--", "mount", "-t", "tmpfs", "-o"])
            .arg(format!("size={bytes},mode=711"))
            .arg("monopod-rig")
            .arg(slot.engine.data())
            .output()
            .unwrap_or_else(|e| panic!("rig: starting mount: {e}"));
        assert!(
            output.status.success(),
            "rig: mounting a small disk: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        slot.small_disk = true;
        slot.start_engine();
    }

    /// Removes all images; containers too, as they hold them.
    pub fn forget_images(&self) {
        self.slot().get().engine.scrub(true);
    }

    /// Cuts the power and boots again: agents, engine and containers die at once, `RUNTIME_DIRECTORY` is emptied, the
    /// engine starts. What was down (registry, AWS, metadata) stays down. The caller starts the agent.
    pub fn reboot(&self) {
        self.cut_power();
        self.start_engine();
    }

    /// The first half of [`Self::reboot`], for boots where the agent is there before the engine.
    pub fn cut_power(&self) {
        self.end_agents();
        let mut slot = self.slot();
        slot.get().small_disk = false;
        slot.get().replace_sandbox();
        let network = Arc::clone(slot.get().sandbox.network());
        self.imds().move_to(&network);
        self.registry().line.move_to(&network);
        if let Some(mirror) = self.mirror_in_use() {
            mirror.line.move_to(&network);
        }
        self.aws().line.move_to(&network);
        empty(&self.dirs().runtime);
    }
}

fn empty(dir: &Path) {
    drop(fs::remove_dir_all(dir));
    make_dir(dir);
}
