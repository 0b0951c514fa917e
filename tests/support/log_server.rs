//! A real rsyslogd as the log server at the far end: UDP, TCP (octet counting and newlines, as each message is framed)
//! and TLS. What it receives is in a file, one JSON object a message, which [`LogServer::messages`] reads.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::place::Where;
use crate::process::{Part, stopped, tail};
use crate::tls::Presents;
use crate::wait::wait_until;

/// How a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// Plain TCP.
    Tcp,
    /// TCP inside TLS.
    Tls,
}

/// One message, as rsyslog understood it. What a message does not say is `-` or empty, as rsyslog has it.
#[derive(Clone, Debug)]
pub struct Received {
    /// All of it, without the frame.
    pub raw: String,
    /// Facility times eight, and the severity.
    pub pri: u8,
    /// RFC 3339; in the server's own time zone when the message has none.
    pub timestamp: String,
    /// Who says it.
    pub hostname: String,
    /// The application, without a process id.
    pub app_name: String,
    /// The process id.
    pub procid: String,
    /// RFC 5424's message id.
    pub msgid: String,
    /// RFC 5424's structured data: `[a@1 key="value"]`.
    pub structured_data: String,
    /// The text, without the blank that RFC 3164 has before it.
    pub msg: String,
    /// The way it came.
    pub transport: Transport,
}

/// The server. Stopped on drop.
#[derive(Debug)]
pub struct LogServer {
    dir: PathBuf,
    ports: Ports,
    init: Option<u32>,
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    udp: u16,
    tcp: u16,
    tls: u16,
}

impl LogServer {
    /// Starts it, with a good certificate.
    #[must_use]
    pub fn start(place: Where<'_>) -> Self {
        Self::presenting(place, Presents::Good)
    }

    /// Starts it with this certificate.
    #[must_use]
    pub fn presenting(place: Where<'_>, presents: Presents) -> Self {
        let dir = place.folder("log-server");
        let ports = Ports {
            udp: place.free_port(),
            tcp: place.free_port(),
            tls: place.free_port(),
        };
        let path = dir.join("rsyslog.conf");
        fs::write(&path, config(&dir, ports, presents))
            .unwrap_or_else(|e| panic!("rig: writing {}: {e}", path.display()));
        let mut server = Self {
            dir,
            ports,
            init: None,
            part: None,
        };
        server.start_in(place);
        server
    }

    /// Starts it again after [`Self::stop`] or [`Self::kill9`], where it was: the same ports, the same file.
    pub fn start_again(&mut self) {
        let mut command = crate::process::tied("nsenter");
        match self.init {
            Some(init) => {
                command
                    .arg(format!("--net=/proc/{init}/ns/net"))
                    .arg("--")
                    .arg("rsyslogd");
            }
            None => command = crate::process::tied("rsyslogd"),
        }
        self.run(command);
    }

    /// Starts it again in another place: a machine that was rebooted has a new network, and nobody in it.
    pub fn start_in(&mut self, place: Where<'_>) {
        self.init = match place {
            Where::Host => None,
            Where::Machine(machine) => Some(machine.init()),
        };
        self.run(place.command("rsyslogd"));
    }

    fn run(&mut self, mut command: std::process::Command) {
        if let Some(old) = self.part.take() {
            old.kill();
        }
        // No pid file: one left by a kill would be in the way of the next start.
        command
            .args(["-n", "-iNONE", "-f"])
            .arg(self.dir.join("rsyslog.conf"));
        let part = Part::start("rsyslogd", command, &self.dir.join("rsyslogd.log"));
        let (pid, ports) = (part.pid(), self.ports);
        part.ready(Duration::from_secs(15), |_| {
            let all = listens(pid, "tcp", "0A", ports.tcp)
                && listens(pid, "tcp", "0A", ports.tls)
                && listens(pid, "udp", "07", ports.udp);
            all.then_some(())
        });
        self.part = Some(part);
    }

    /// SIGTERM: it writes what it has received, and ends. Connections are refused.
    pub fn stop(&mut self) {
        if let Some(part) = self.part.take() {
            part.signal(Signal::SIGTERM);
            let ended = part.wait(Duration::from_secs(20));
            assert!(
                ended.is_some(),
                "rig: rsyslogd does not end after SIGTERM{}",
                part.tail()
            );
        }
    }

    /// SIGKILL: what it has received and not written is gone.
    pub fn kill9(&mut self) {
        if let Some(part) = self.part.take() {
            part.kill();
        }
    }

    /// SIGSTOP: connections are accepted by the kernel, and nothing is read.
    pub fn freeze(&self) {
        let part = self.running();
        part.signal(Signal::SIGSTOP);
        wait_until(Duration::from_secs(5), || stopped(part.pid()).then_some(()))
            .unwrap_or_else(|| panic!("rig: rsyslogd won't stop"));
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&self) {
        self.running().signal(Signal::SIGCONT);
    }

    fn running(&self) -> &Part {
        self.part
            .as_ref()
            .expect("rig: the log server was stopped: nothing to signal")
    }

    /// Its pid while it runs, for counting what it costs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.part.as_ref().map(Part::pid)
    }

    /// Where it takes datagrams.
    #[must_use]
    pub fn udp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.udp).into()
    }

    /// Where it takes plain connections.
    #[must_use]
    pub fn tcp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.tcp).into()
    }

    /// Where it takes TLS.
    #[must_use]
    pub fn tls(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.tls).into()
    }

    /// The file with what it received, one JSON object a line.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.join("received.jsonl")
    }

    /// What it has written so far, in the order it came in on each connection.
    #[must_use]
    pub fn messages(&self) -> Vec<Received> {
        let bytes = fs::read(self.file()).unwrap_or_default();
        // The last line may be half written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        String::from_utf8_lossy(&bytes[..whole])
            .lines()
            .map(Received::read)
            .collect()
    }

    /// How many messages it has written so far.
    #[must_use]
    pub fn count(&self) -> usize {
        let bytes = fs::read(self.file()).unwrap_or_default();
        bytes.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Waits for the first message whose raw form has this in it; panics with the last ones there are instead.
    #[must_use = "it holds what was received; `drop` it where only the wait counts"]
    pub fn wait_for(&self, part: &str, within: Duration) -> Received {
        let found = wait_until(within, || {
            self.messages()
                .into_iter()
                .find(|message| message.raw.contains(part))
        });
        found.unwrap_or_else(|| panic!("rig: no {part:.200?} within {within:?}{}", self.story()))
    }

    /// Waits until it has written so many messages.
    pub fn wait_for_count(&self, count: usize, within: Duration) {
        wait_until(within, || (self.count() >= count).then_some(())).unwrap_or_else(|| {
            panic!(
                "rig: {} messages of {count} within {within:?}{}",
                self.count(),
                self.story()
            )
        });
    }

    fn story(&self) -> String {
        let said = self.part.as_ref().map(Part::tail).unwrap_or_default();
        let internal = tail("rsyslogd's own messages", &self.dir.join("internal.log"));
        format!("{}{internal}{said}", tail("what it received", &self.file()))
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        self.kill9();
    }
}

impl Received {
    fn read(line: &str) -> Self {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("rig: rsyslog wrote no JSON: {e}: {line}"));
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let msg = text("msg");
        Self {
            raw: text("raw"),
            pri: text("pri").parse().unwrap_or(u8::MAX),
            timestamp: text("timestamp"),
            hostname: text("hostname"),
            app_name: text("app"),
            procid: text("procid"),
            msgid: text("msgid"),
            structured_data: text("sd"),
            msg: msg.strip_prefix(' ').unwrap_or(&msg).to_owned(),
            transport: match text("input").as_str() {
                "udp" => Transport::Udp,
                "tls" => Transport::Tls,
                _ => Transport::Tcp,
            },
        }
    }
}

/// A ruleset of its own for what comes in: rsyslogd's own words go to another file.
fn config(dir: &Path, ports: Ports, presents: Presents) -> String {
    let Ports { udp, tcp, tls } = ports;
    format!(
        r#"global(
    workDirectory="{dir}" maxMessageSize="1m" net.enableDNS="off" parser.escapeControlCharactersOnReceive="off"
    defaultNetstreamDriverCAFile="{ca}"
    defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"
)
module(load="imudp")
module(load="imtcp" maxSessions="1000" maxFrameSize="1048576")
template(name="json" type="list" option.jsonf="on") {{
    property(outname="raw" name="rawmsg" format="jsonf")
    property(outname="pri" name="pri" format="jsonf")
    property(outname="timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
    property(outname="hostname" name="hostname" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="procid" name="procid" format="jsonf")
    property(outname="msgid" name="msgid" format="jsonf")
    property(outname="sd" name="structured-data" format="jsonf")
    property(outname="msg" name="msg" format="jsonf")
    property(outname="input" name="inputname" format="jsonf")
}}
ruleset(name="far" queue.type="LinkedList" queue.size="200000" queue.timeoutShutdown="15000") {{
    action(type="omfile" file="{dir}/received.jsonl" template="json")
}}
input(type="imudp" address="127.0.0.1" port="{udp}" name="udp" ruleset="far")
input(type="imtcp" address="127.0.0.1" port="{tcp}" name="tcp" ruleset="far" streamDriver.mode="0" streamDriver.name="ptcp")
input(type="imtcp" address="127.0.0.1" port="{tls}" name="tls" ruleset="far"
    streamDriver.mode="1" streamDriver.name="ossl" streamDriver.authMode="anon")
*.* action(type="omfile" file="{dir}/internal.log")
"#,
        dir = dir.display(),
        ca = crate::tls::authority().display(),
        certificate = presents.certificate().display(),
        key = presents.key().display(),
    )
}

/// Whether a port is bound in the network of a process: asked of the kernel, so that no connection is made for it.
fn listens(pid: u32, protocol: &str, state: &str, port: u16) -> bool {
    let table = fs::read_to_string(format!("/proc/{pid}/net/{protocol}")).unwrap_or_default();
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        local.ends_with(&format!(":{port:04X}")) && fields.nth(1) == Some(state)
    })
}
