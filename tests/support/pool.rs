//! Slots: a sandbox with an engine, made once and lent to one test after another.
//!
//! A slot belongs to one test process, by a lock on its file, so that a demo and a test run don't meet. What a process
//! that was killed has left in a slot (it can only be files: see [`crate::sandbox`]) is cleared when it is claimed.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;

use crate::engine::Engine;
use crate::layout;
use crate::process::{alive, send, stat, tool};
use crate::sandbox::Sandbox;
use crate::wait::{lock, wait_until};

/// How many slots a machine has for all test processes together.
const SLOTS: usize = 32;

/// Longest wait for a free slot: other tests hold them, and every wait in a test has its own deadline.
const TURN: Duration = Duration::from_secs(900);

/// Ends well in a network that only an engine has touched.
const AS_MADE: &str =
    "iptables --wait -t nat -n -L DOCKER >&2 && iptables --wait -n -L DOCKER-USER >&2 || exit 1
test \"$(nft list tables inet)\" = '' || exit 1
for address in $(ip -o addr show dev lo | awk '{ print $4 }'); do
    case $address in 127.0.0.1/8|::1/128) ;; *) exit 1 ;; esac
done";

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) index: usize,
    pub(crate) run: PathBuf,
    pub(crate) sandbox: Sandbox,
    pub(crate) engine: Engine,
    /// Its data lies on a small file system of its own, in the sandbox.
    pub(crate) small_disk: bool,
    // Last, so that it is let go when everything above is gone.
    _lock: Flock<File>,
}

impl Slot {
    fn claim() -> Self {
        let base = layout::run();
        for index in 0..SLOTS {
            let path = base.join(format!("slot-{index}.lock"));
            let file =
                File::create(&path).unwrap_or_else(|e| panic!("rig: creating {}: {e}", path.display()));
            if let Ok(held) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                return Self::prepare(index, held);
            }
        }
        panic!(
            "rig: all {SLOTS} slots under {} are taken by other test processes",
            base.display()
        );
    }

    fn prepare(index: usize, held: Flock<File>) -> Self {
        let run = layout::run().join(index.to_string());
        clear_leftovers(index, &run);
        let data = layout::home().join("engines").join(index.to_string());
        for dir in [&run, &data] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(dir)
                .unwrap_or_else(|e| panic!("rig: creating {}: {e}", dir.display()));
        }
        let sandbox = Sandbox::start();
        let engine = Engine::new(&run, &data);
        let mut slot = Self {
            index,
            run,
            sandbox,
            engine,
            small_disk: false,
            _lock: held,
        };
        slot.remember();
        slot.start_engine();
        // A run that was killed may have left containers in the engine's data.
        slot.engine.scrub(true);
        slot
    }

    pub(crate) fn start_engine(&mut self) {
        self.engine.start(&self.sandbox, &cgroup(self.index));
    }

    /// Kills what agents have started and left behind.
    pub(crate) fn evict(&self) {
        for pid in self.sandbox.visitors() {
            if Some(pid) != self.engine.waiter() {
                send(pid, Signal::SIGKILL);
            }
        }
    }

    /// Whether its network is what the engine made of it: its chains are there, and nobody else's table or address is.
    /// Without its chains an engine starts no container that has a port, until it is started again.
    pub(crate) fn network_is_the_engines(&self) -> bool {
        let looked = self
            .sandbox
            .network()
            .enter(|| tool("sh").args(["-c", AS_MADE]).output())
            .unwrap_or_else(|e| panic!("rig: starting a shell in the sandbox's network: {e}"));
        looked.status.success()
    }

    /// Kills everything in the sandbox, as a power cut does, and makes a new one around the same data.
    pub(crate) fn replace_sandbox(&mut self) {
        self.sandbox.kill();
        self.engine.died();
        clear_cgroups(self.index);
        self.sandbox = Sandbox::start();
        self.remember();
    }

    /// Writes down which process holds the sandbox, for whoever finds it after us.
    fn remember(&self) {
        let init = self.sandbox.init();
        let started = stat(init).map_or(0, |stat| stat.started);
        let path = self.run.join("init.pid");
        fs::write(&path, format!("{init} {started}"))
            .unwrap_or_else(|e| panic!("rig: writing {}: {e}", path.display()));
    }
}

fn cgroup(index: usize) -> String {
    format!("/monopod-rig-{index}")
}

fn clear_leftovers(index: usize, run: &Path) {
    if let Some((pid, started)) = left_behind(run)
        && stat(pid).is_some_and(|stat| stat.started == started)
    {
        // Its test process has just died and the kernel is still at it, or nobody was told: either way it goes now.
        send(pid, Signal::SIGKILL);
        wait_until(Duration::from_secs(10), || (!alive(pid)).then_some(()))
            .unwrap_or_else(|| panic!("rig: slot {index}: process {pid} of an earlier run won't die"));
    }
    clear_cgroups(index);
    if run.exists() {
        fs::remove_dir_all(run).unwrap_or_else(|e| panic!("rig: removing {}: {e}", run.display()));
    }
}

fn left_behind(run: &Path) -> Option<(u32, u64)> {
    let text = fs::read_to_string(run.join("init.pid")).ok()?;
    let (pid, started) = text.split_once(' ')?;
    Some((pid.parse().ok()?, started.parse().ok()?))
}

/// Control groups are the one thing the kernel keeps when a sandbox dies; empty, they can be removed.
fn clear_cgroups(index: usize) {
    let name = format!("monopod-rig-{index}");
    let Ok(controllers) = fs::read_dir("/sys/fs/cgroup") else {
        return;
    };
    // Version 2 has one tree, version 1 one for every controller.
    let trees = controllers
        .flatten()
        .map(|entry| entry.path())
        .chain(["/sys/fs/cgroup".into()]);
    for tree in trees {
        let ours = tree.join(&name);
        for group in fs::read_dir(&ours).into_iter().flatten().flatten() {
            drop(fs::remove_dir(group.path()));
        }
        drop(fs::remove_dir(ours));
    }
}

#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    returned: Condvar,
    turn: Mutex<()>,
    size: usize,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Slot>,
    made: usize,
}

impl Pool {
    pub(crate) fn new() -> Self {
        let size = match std::env::var("MONOPOD_RIG_ENGINES") {
            Err(_) => 3,
            Ok(text) => text
                .parse()
                .ok()
                .filter(|size| *size > 0)
                .unwrap_or_else(|| panic!("rig: MONOPOD_RIG_ENGINES={text:?} is not a number above 0")),
        };
        Self {
            state: Mutex::default(),
            returned: Condvar::new(),
            turn: Mutex::default(),
            size,
        }
    }

    /// So many slots at once. One taker at a time: whoever waits here for the rest of its slots waits for tests that
    /// have all of theirs.
    pub(crate) fn take<const N: usize>(&self) -> [Slot; N] {
        assert!(
            N <= self.size,
            "rig: a test needs {N} machines at once: MONOPOD_RIG_ENGINES={} is too few",
            self.size
        );
        let _turn = lock(&self.turn);
        std::array::from_fn(|_| self.take_one())
    }

    /// An idle slot, or a new one, or the next that comes back.
    fn take_one(&self) -> Slot {
        let end = Instant::now() + TURN;
        let mut state = lock(&self.state);
        loop {
            if let Some(slot) = state.idle.pop() {
                return slot;
            }
            if state.made < self.size {
                state.made += 1;
                drop(state);
                let making = Making {
                    pool: self,
                    done: false,
                };
                let slot = Slot::claim();
                making.done();
                return slot;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "rig: no machine became free within {TURN:?}; {} are lent out",
                self.size
            );
            state = self
                .returned
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub(crate) fn give_back(&self, slot: Slot) {
        lock(&self.state).idle.push(slot);
        self.returned.notify_one();
    }

    /// A slot that could not be cleaned is not lent again.
    pub(crate) fn lost_one(&self) {
        lock(&self.state).made -= 1;
        self.returned.notify_one();
    }

    /// Ends the idle slots now, rather than with the process.
    pub(crate) fn close(&self) {
        let slots: Vec<Slot> = lock(&self.state).idle.drain(..).collect();
        lock(&self.state).made -= slots.len();
        for slot in slots {
            let (index, run) = (slot.index, slot.run.clone());
            drop(slot);
            clear_cgroups(index);
            drop(fs::remove_dir_all(run));
        }
    }
}

/// Gives the place in the pool back if making a slot panics.
struct Making<'a> {
    pool: &'a Pool,
    done: bool,
}

impl Making<'_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.pool.lost_one();
        }
    }
}
