//! Names of kernel settings, and whose they are.
//!
//! A container has namespaces of its own for its network and for System V and POSIX messages. The kernel keeps some
//! settings once for each such namespace and the others once for the machine, and which are which differs a little from
//! kernel to kernel. The engine refuses to start a container with a setting that its namespace lacks, so what is given
//! to the container is only what every kernel since 4.19 has there; what is in doubt is the machine's, where a setting
//! that the kernel lacks is a warning.

use crate::config::Networking;

/// Below `kernel`, once for each namespace of messages. The engine takes these and no others.
const IPC: &[&str] = &[
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
/// The same, all of a directory.
const MQUEUE: &str = "fs.mqueue.";

/// Once for each network, all of a directory but [`OF_THE_MACHINE`].
const NETWORK: &[&str] = &["net.ipv4.", "net.ipv6.", "net.unix."];
/// Single ones of a directory that is the machine's otherwise: buffers' limits (rmem_max) exist once.
const NETWORK_SINGLE: &[&str] = &["net.core.somaxconn"];
/// In those directories, and there once for the machine: memory, caches and tables that all networks share.
const OF_THE_MACHINE: &[&str] = &[
    "net.ipv4.cipso_",
    "net.ipv4.fib_sync_mem",
    "net.ipv4.icmp_msgs_",
    "net.ipv4.inet_peer_",
    "net.ipv4.ipfrag_secret_interval",
    "net.ipv4.neigh.default.",
    "net.ipv4.route.",
    "net.ipv4.tcp_allowed_congestion_control",
    "net.ipv4.tcp_available_",
    "net.ipv4.tcp_low_latency",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
    "net.ipv6.calipso_",
    "net.ipv6.ip6frag_secret_interval",
    "net.ipv6.mld_",
    "net.ipv6.neigh.default.",
];
/// Directories with one more below for each interface.
const BY_INTERFACE: &[&str] = &[
    "net.ipv4.conf.",
    "net.ipv4.neigh.",
    "net.ipv6.conf.",
    "net.ipv6.neigh.",
];
/// What a container's network has; every other interface is one of the machine's.
const INTERFACES: &[&str] = &["all", "default", "eth0", "lo"];

/// A setting's name as everybody writes it, `net.core.somaxconn`, from one with slashes as well: `net/core/somaxconn`. The
/// first of the two that stands in it parts the name, and the other is then a part of an interface's name.
pub fn canonical_name(text: &str) -> String {
    match text.find(['.', '/']).and_then(|at| text.as_bytes().get(at)) {
        Some(b'/') => swapped(text),
        _ => text.to_owned(),
    }
}

/// Where it lies below `/proc/sys`.
pub fn path(name: &str) -> String {
    swapped(name)
}

fn swapped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        })
        .collect()
}

/// Whether it takes effect in the container and nowhere else.
pub fn is_of_container(name: &str, networking: Networking) -> bool {
    let begins = |all: &[&str]| all.iter().any(|one| name.starts_with(one));
    if IPC.contains(&name) || name.starts_with(MQUEUE) {
        return true;
    }
    match networking {
        // It has the machine's network, and the engine lets it change nothing there.
        Networking::Host => false,
        Networking::Bridge | Networking::None => {
            NETWORK_SINGLE.contains(&name)
                || (begins(NETWORK) && !begins(OF_THE_MACHINE) && is_its_interface(name))
        }
    }
}

fn is_its_interface(name: &str) -> bool {
    let interface = BY_INTERFACE
        .iter()
        .find_map(|one| name.strip_prefix(one)?.split('.').next());
    interface.is_none_or(|interface| INTERFACES.contains(&interface))
}

/// Why a setting is nobody's to write: the kernel runs a program that it names, as root and outside of every container.
pub fn runs_a_program(name: &str, value: &str) -> bool {
    match name {
        "kernel.core_pattern" => value.trim_start().starts_with('|'),
        "kernel.modprobe" | "kernel.hotplug" | "kernel.poweroff_cmd" => true,
        // A program that is registered there is run for every file of its kind.
        _ => name.starts_with("fs.binfmt_misc.") || name.starts_with("kernel.usermodehelper."),
    }
}

/// Whether two values are the same to the kernel, which prints several numbers with tabs between.
pub fn is_same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// Whether a file below `/sys` that offers several words has this one chosen: `always [madvise] never`.
pub fn is_chosen(text: &str, word: &str) -> bool {
    let chosen = |one: &str| one.strip_prefix('[').and_then(|one| one.strip_suffix(']')) == Some(word);
    is_same(text, word) || text.split_whitespace().any(chosen)
}

/// All of them as a file of sysctl.d: systemd writes those of a network interface when the interface comes up, and all of
/// them when a package asks for it.
pub fn file(settings: &[(String, String)]) -> String {
    let mut text =
        "# Written by monopod at each boot from `sysctl` of the user data: changes here are lost.\n"
            .to_owned();
    for (name, value) in settings {
        // With a minus what this kernel lacks is passed over.
        text.push_str(&format!("-{} = {}\n", path(name), value.trim()));
    }
    text
}
