//! A machine, as one test has it: an engine, the network around it, and the sockets of a host.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::agent::{Agent, Shared};
use crate::aws::Aws;
use crate::aws_lifecycle;
use crate::forward::Line;
use crate::http::{self, Response};
use crate::identity::Identity;
use crate::imds::Imds;
use crate::layout::make_dir;
use crate::pool::Slot;
use crate::process::{stat, tied, tool};
use crate::registry::{REGISTRY_PASSWORD, REGISTRY_USER, Registry};
use crate::sockets::{NotifySocket, SyslogSocket};
use crate::wait::lock;
use crate::{AWS_PORT, IMDS_PORT, MIRROR, MIRROR_PORT, REGISTRY, REGISTRY_PORT, Rig};

/// The folders and sockets of one lease, fresh and empty.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// All of it; removed with the lease. Tests may keep their own files in it.
    pub base: PathBuf,
    /// `RUNTIME_DIRECTORY`: emptied by a reboot.
    pub runtime: PathBuf,
    /// `STATE_DIRECTORY`: kept.
    pub state: PathBuf,
    /// `LOGS_DIRECTORY`: kept.
    pub logs: PathBuf,
    /// `CONFIGURATION_DIRECTORY`: what the machine's image brings, empty at first.
    pub configuration: PathBuf,
    /// The engine's socket.
    pub docker: PathBuf,
    /// The engine's data, where containers' log files are.
    pub engine_data: PathBuf,
    /// What `--syslog-socket` gets.
    pub syslog: PathBuf,
    /// What `NOTIFY_SOCKET` says.
    pub notify: PathBuf,
}

/// A machine of one's own until it is dropped.
///
/// Dropping it kills the agents started on it, removes its containers and images, ends all faults, and gives the
/// engine to the next test.
pub struct Machine {
    slot: Mutex<Option<Slot>>,
    dirs: Dirs,
    imds: Imds,
    registry: Registry,
    mirror: OnceLock<Registry>,
    aws: Aws,
    notify: NotifySocket,
    syslog: SyslogSocket,
    agents: Mutex<Vec<Arc<Shared>>>,
}

impl Machine {
    /// A machine with nothing on it; waits for one when all are lent.
    #[must_use]
    pub fn acquire() -> Self {
        let [machine] = Self::acquire_several();
        machine
    }

    /// As many machines as asked for, for a test that needs them together: taken one by one, two such tests could
    /// wait for each other.
    #[must_use]
    pub fn acquire_several<const N: usize>() -> [Self; N] {
        let rig = Rig::get();
        // The parts start side by side: whichever is first needed waits for itself only.
        thread::scope(|scope| {
            scope.spawn(|| rig.registry());
            scope.spawn(|| rig.standin());
            rig.pool.take::<N>().map(|slot| Self::new(rig, slot))
        })
    }

    fn new(rig: &'static Rig, slot: Slot) -> Self {
        static LEASES: AtomicU64 = AtomicU64::new(1);
        let lease = LEASES.fetch_add(1, Ordering::SeqCst);
        let dirs = lay_out(&slot, lease);
        let network = Arc::clone(slot.sandbox.network());
        let number = (u64::from(std::process::id()) << 20) + lease;
        let (server, standin) = (rig.registry(), rig.standin());
        let access_key = format!("AKIA{number:016X}");
        let signs_with = access_key.clone();
        let imds_at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, IMDS_PORT);
        Self {
            imds: Imds::new(&network, imds_at, Identity::new(number), move |identity| {
                aws_lifecycle::identify(standin, &signs_with, identity);
            }),
            mirror: OnceLock::new(),
            registry: Registry {
                host: REGISTRY,
                server,
                line: Line::new(&network, REGISTRY_PORT, server.address),
            },
            aws: Aws {
                standin,
                line: Line::new(&network, AWS_PORT, standin.address),
                access_key,
            },
            notify: NotifySocket::new(&dirs.notify),
            syslog: SyslogSocket::new(&dirs.syslog),
            agents: Mutex::default(),
            slot: Mutex::new(Some(slot)),
            dirs,
        }
    }

    pub(crate) fn slot(&self) -> SlotGuard<'_> {
        SlotGuard(lock(&self.slot))
    }

    /// The pid of the process that holds its namespaces.
    pub(crate) fn init(&self) -> u32 {
        self.slot().get().sandbox.init()
    }

    /// The number of its slot: no two machines in use at once have the same.
    #[must_use]
    pub fn index(&self) -> usize {
        self.slot().get().index
    }

    /// Its folders and sockets.
    #[must_use]
    pub fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    /// Its metadata service.
    #[must_use]
    pub fn imds(&self) -> &Imds {
        &self.imds
    }

    /// The registry, as it sees it.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A second registry, as it sees it: nothing is in it but what tests have pushed.
    #[must_use]
    pub fn mirror(&self) -> &Registry {
        self.mirror.get_or_init(|| {
            let server = Rig::get().mirror();
            let network = Arc::clone(self.slot().get().sandbox.network());
            Registry {
                host: MIRROR,
                server,
                line: Line::new(&network, MIRROR_PORT, server.address),
            }
        })
    }

    pub(crate) fn mirror_in_use(&self) -> Option<&Registry> {
        self.mirror.get()
    }

    /// AWS, as it sees it.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// systemd's end of the notification socket.
    #[must_use]
    pub fn notify(&self) -> &NotifySocket {
        &self.notify
    }

    /// Its syslog socket.
    #[must_use]
    pub fn syslog(&self) -> &SyslogSocket {
        &self.syslog
    }

    /// The user data its metadata service gives.
    pub fn set_user_data(&self, text: &str) {
        self.imds.set_user_data(text);
    }

    /// A command in the machine's network with a clean environment: what systemd would set, and where to find the
    /// engine, the metadata service and AWS. Its pid is the program's. It dies with the thread that starts it, so use
    /// [`Self::spawn`] for what runs longer than one call.
    #[must_use]
    pub fn monopod(&self, binary: &Path, args: &[&str]) -> Command {
        let init = self.init();
        let mut command = tied("nsenter");
        // By absolute path: monopod's PATH is for monopod.
        command
            .arg(format!("--net=/proc/{init}/ns/net"))
            // The engine's small disk is mounted there alone.
            .args(
                self.slot()
                    .get()
                    .small_disk
                    .then(|| format!("--mount=/proc/{init}/ns/mnt")),
            )
            .arg("--")
            .arg(binary)
            .args(args);
        command.env("DOCKER_HOST", format!("unix://{}", self.dirs.docker.display()));
        for (name, value) in self.endpoints() {
            command.env(name, value);
        }
        command
            .env("RUNTIME_DIRECTORY", &self.dirs.runtime)
            .env("STATE_DIRECTORY", &self.dirs.state)
            .env("LOGS_DIRECTORY", &self.dirs.logs)
            .env("CONFIGURATION_DIRECTORY", &self.dirs.configuration)
            .env("NOTIFY_SOCKET", &self.dirs.notify)
            .current_dir("/");
        command
    }

    fn endpoints(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{AWS_PORT}")),
            (
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                format!("http://127.0.0.1:{IMDS_PORT}"),
            ),
            ("AWS_ACCESS_KEY_ID", self.aws.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", "rig-secret-access-key".to_owned()),
        ]
    }

    /// Starts a program as [`Self::monopod`] describes.
    #[must_use]
    pub fn spawn(&self, binary: &Path, args: &[&str]) -> Agent {
        self.spawn_command(self.monopod(binary, args))
    }

    /// Starts a command made by [`Self::monopod`], with what a test has changed about it.
    #[must_use]
    pub fn spawn_command(&self, command: Command) -> Agent {
        let agent = Agent::start(command);
        lock(&self.agents).push(Arc::clone(agent.shared()));
        agent
    }

    /// Runs the docker command against this machine's engine; no check of its exit code.
    #[must_use]
    pub fn docker(&self, args: &[&str]) -> Output {
        let mut command = tool("docker");
        command
            .env("DOCKER_HOST", format!("unix://{}", self.dirs.docker.display()))
            .env("DOCKER_CONFIG", self.dirs.base.join("docker-config"))
            .env("HOME", &self.dirs.base)
            .args(args);
        command
            .output()
            .unwrap_or_else(|e| panic!("rig: starting docker {args:?}: {e}"))
    }

    /// The same, for commands that must succeed: gives their standard output.
    pub fn docker_ok(&self, args: &[&str]) -> String {
        let output = self.docker(args);
        assert!(
            output.status.success(),
            "rig: docker {args:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.engine_log()
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Lets [`Self::docker`] pull from the registry.
    pub fn log_in(&self) {
        self.docker_ok(&[
            "login",
            "--username",
            REGISTRY_USER,
            "--password",
            REGISTRY_PASSWORD,
            REGISTRY,
        ]);
    }

    /// One call of the engine's API.
    #[must_use]
    pub fn engine_api(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.slot().get().engine.api(method, path, body)
    }

    /// What the engine knows of a container; None if there is none.
    #[must_use]
    pub fn inspect(&self, name: &str) -> Option<Value> {
        let answer = self.engine_api("GET", &format!("/containers/{name}/json"), None);
        match answer.status {
            200 => Some(serde_json::from_slice(&answer.body).expect("rig: the engine answers with JSON")),
            404 => None,
            status => panic!(
                "rig: inspecting {name}: {status} {}{}",
                answer.text(),
                self.engine_log()
            ),
        }
    }

    /// All containers, running or not, as the engine lists them.
    #[must_use]
    pub fn containers(&self) -> Vec<Value> {
        self.slot().get().engine.list("/containers/json?all=1")
    }

    /// `/proc/PID/status` of a container's first process: what the kernel says its user and capabilities are.
    #[must_use]
    pub fn process_status(&self, name: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/status", self.host_pid(name)?)).ok()
    }

    /// The pid of a container's first process as the host sees it. `State.Pid` is another: the engine counts in the
    /// sandbox's process namespace.
    #[must_use]
    pub fn host_pid(&self, name: &str) -> Option<u32> {
        let inside = self.inspect(name)?["State"]["Pid"]
            .as_u64()
            .filter(|pid| *pid > 0)?
            .to_string();
        let init = self.init();
        let depth = |pid: u32| -> Option<Vec<String>> {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
            Some(pids.split_whitespace().map(str::to_owned).collect())
        };
        // One column a namespace, from the host's inwards: the sandbox's own is where its first process is 1.
        let column = depth(init)?.len() - 1;
        fs::read_dir("/proc")
            .ok()?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .find(|pid| {
                depth(*pid).is_some_and(|pids| pids.get(column) == Some(&inside)) && descends(*pid, init)
            })
    }

    /// One GET from inside the machine's network.
    pub fn http_get(&self, port: u16, path: &str) -> io::Result<Response> {
        let network = Arc::clone(self.slot().get().sandbox.network());
        let stream = network.enter(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        http::call(stream, "GET", path, &[], &[])
    }

    pub(crate) fn network(&self) -> Arc<crate::sandbox::Network> {
        Arc::clone(self.slot().get().sandbox.network())
    }

    /// Runs `work` on a thread in the machine's network: sockets it makes and processes it starts are inside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let network = Arc::clone(self.slot().get().sandbox.network());
        network.enter(work)
    }

    /// Kills the agents started here, and what they have started.
    pub(crate) fn end_agents(&self) {
        for agent in lock(&self.agents).iter() {
            agent.end();
        }
        if let Some(slot) = lock(&self.slot).as_ref() {
            slot.evict();
        }
    }

    /// What each agent started here has printed so far.
    pub(crate) fn outputs(&self) -> Vec<String> {
        lock(&self.agents).iter().map(|agent| agent.output()).collect()
    }

    /// Makes the engine as it was, for the next lease.
    fn clean(slot: &mut Slot) {
        slot.engine.thaw();
        if slot.small_disk || !slot.network_is_the_engines() {
            slot.small_disk = false;
            slot.replace_sandbox();
        }
        slot.start_engine();
        slot.engine.scrub(true);
        if !slot.engine.live_restore() {
            slot.engine.stop();
            slot.engine.set_live_restore(true);
            slot.start_engine();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end_agents();
        let Some(mut slot) = lock(&self.slot).take() else {
            return;
        };
        drop(fs::remove_dir_all(&self.dirs.base));
        let pool = &Rig::get().pool;
        // A panic here, in a test that is failing already, would end the whole process and hide the reason.
        let cleaned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Self::clean(&mut slot)));
        if cleaned.is_ok() {
            pool.give_back(slot);
        } else {
            eprintln!(
                "rig: machine {} could not be cleaned and is not used again",
                slot.index
            );
            drop(slot);
            pool.lost_one();
        }
    }
}

/// The slot, which is there as long as the machine is.
pub(crate) struct SlotGuard<'a>(MutexGuard<'a, Option<Slot>>);

impl SlotGuard<'_> {
    pub(crate) fn get(&mut self) -> &mut Slot {
        self.0
            .as_mut()
            .expect("rig: a machine has its slot until it is dropped")
    }
}

fn lay_out(slot: &Slot, lease: u64) -> Dirs {
    let base = slot.run.join(format!("lease-{lease}"));
    let dirs = Dirs {
        runtime: base.join("run"),
        state: base.join("state"),
        logs: base.join("logs"),
        configuration: base.join("etc"),
        docker: slot.engine.socket(),
        engine_data: slot.engine.data().to_owned(),
        syslog: base.join("log.sock"),
        notify: base.join("notify.sock"),
        base,
    };
    for dir in [&dirs.runtime, &dirs.state, &dirs.logs, &dirs.configuration] {
        make_dir(dir);
    }
    dirs
}

fn descends(pid: u32, ancestor: u32) -> bool {
    let mut current = pid;
    while current > 1 {
        if current == ancestor {
            return true;
        }
        let Some(stat) = stat(current) else { return false };
        current = stat.parent;
    }
    false
}
