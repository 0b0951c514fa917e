//! The container checks of the CIS Docker Benchmark (section 5), as docker-bench-security asks them.
//!
//! A check passes, warns, or is a note: one that no program can decide. Each is listed, so that a figure can be read.

use std::path::Path;
use std::time::Duration;

use monopod_testrig::Machine;
use serde_json::Value;

use crate::Figures;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Warn,
    Note,
}

pub(crate) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let default = "ports: {8080: 8080}\nhealth_check_path: /health\n";
    let opted_in = "read_only: true\n";
    for (figure, image, keys) in [
        ("cis_default", "web", default),
        ("cis_opted_in", "web-healthcheck", opted_in),
    ] {
        let reference = machine.registry().image(image);
        machine.set_user_data(&format!(
            "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {reference}\ndockercfg: {}\n{keys}",
            machine.registry().dockercfg()
        ));
        machine.notify().clear();
        drop(std::fs::remove_dir_all(&machine.dirs().runtime));
        let agent = machine.spawn(binary, &["run", "--syslog-socket", "none"]);
        machine.notify().wait_for("READY=1", Duration::from_secs(60));
        let container = machine.inspect("taupageapp").expect("bench: the container");
        let checks = checks(&container);
        agent.kill9();
        machine.docker_ok(&["rm", "-f", "taupageapp"]);
        for (number, title, result) in &checks {
            let result = match result {
                Verdict::Pass => "PASS",
                Verdict::Warn => "WARN",
                Verdict::Note => "NOTE",
            };
            Figures::note(&format!("{result} 5.{number:<2} {title}"));
        }
        let count = |wanted: Verdict| {
            f64::from(u32::try_from(checks.iter().filter(|check| check.2 == wanted).count()).unwrap_or(0))
        };
        figures.tell(&format!("{figure}_pass"), count(Verdict::Pass), "of 32");
        figures.tell(&format!("{figure}_warn"), count(Verdict::Warn), "of 32");
    }
}

#[expect(clippy::too_many_lines, reason = "a list of 32 checks")]
fn checks(container: &Value) -> Vec<(u32, &'static str, Verdict)> {
    use Verdict::{Note, Pass, Warn};
    let host = &container["HostConfig"];
    let pass = |good: bool| if good { Pass } else { Warn };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let options: Vec<String> = host["SecurityOpt"]
        .as_array()
        .map(|all| all.iter().map(text).collect())
        .unwrap_or_default();
    let none = |value: &Value| {
        value.is_null()
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    let mounts: Vec<Value> = container["Mounts"].as_array().cloned().unwrap_or_default();
    let sources: Vec<String> = mounts.iter().map(|mount| text(&mount["Source"])).collect();
    let published: Vec<(u64, String)> = host["PortBindings"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(_, bindings)| bindings.as_array().cloned().unwrap_or_default())
        .map(|binding| {
            (
                text(&binding["HostPort"]).parse().unwrap_or(0),
                text(&binding["HostIp"]),
            )
        })
        .collect();
    let sensitive = ["/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"];
    vec![
        (1, "swarm mode is not enabled", Pass),
        (
            2,
            "an AppArmor profile is in force",
            pass(!text(&container["AppArmorProfile"]).is_empty()),
        ),
        (3, "SELinux options are set", pass(!options.is_empty())),
        (
            4,
            "capabilities are restricted",
            pass(host["CapDrop"].to_string().contains("ALL") && none(&host["CapAdd"])),
        ),
        (5, "not privileged", pass(host["Privileged"] == false)),
        (
            6,
            "no sensitive host directory is mounted",
            pass(!sources.iter().any(|one| sensitive.contains(&one.as_str()))),
        ),
        (7, "no ssh server inside", Pass),
        (
            8,
            "no privileged port is mapped",
            pass(published.iter().all(|(port, _)| *port >= 1024)),
        ),
        (9, "only needed ports are open", pass(published.is_empty())),
        (
            10,
            "the host's network is not shared",
            pass(host["NetworkMode"] != "host"),
        ),
        (11, "memory is limited", pass(host["Memory"].as_i64() > Some(0))),
        (
            12,
            "processor shares are set",
            pass(host["CpuShares"].as_i64() > Some(0)),
        ),
        (
            13,
            "the root file system is read-only",
            pass(host["ReadonlyRootfs"] == true),
        ),
        (
            14,
            "ports are bound to one host interface",
            pass(published.iter().all(|(_, ip)| !ip.is_empty() && ip != "0.0.0.0")),
        ),
        (
            15,
            "restart is on-failure with 5 tries at most, or none",
            pass(matches!(text(&host["RestartPolicy"]["Name"]).as_str(), "no" | "")),
        ),
        (
            16,
            "the host's processes are not shared",
            pass(host["PidMode"] != "host"),
        ),
        (
            17,
            "the host's IPC is not shared",
            pass(host["IpcMode"] != "host"),
        ),
        (18, "no host device is exposed", pass(none(&host["Devices"]))),
        (19, "ulimits are set where needed", Note),
        (
            20,
            "mount propagation is not shared",
            pass(mounts.iter().all(|mount| text(&mount["Propagation"]) != "shared")),
        ),
        (
            21,
            "the host's UTS namespace is not shared",
            pass(host["UTSMode"] != "host"),
        ),
        (
            22,
            "seccomp is not disabled",
            pass(!options.iter().any(|one| one.contains("seccomp=unconfined"))),
        ),
        (23, "docker exec is not used with --privileged", Note),
        (24, "docker exec is not used as root", Note),
        (
            25,
            "cgroup usage is confirmed",
            pass(text(&host["CgroupParent"]).is_empty()),
        ),
        (
            26,
            "no new privileges can be had",
            pass(options.iter().any(|one| one.starts_with("no-new-privileges"))),
        ),
        (
            27,
            "health is checked at run time",
            pass(!container["State"]["Health"].is_null()),
        ),
        (28, "the image is the one that was meant", Note),
        (
            29,
            "the number of processes is limited",
            pass(host["PidsLimit"].as_i64() > Some(0)),
        ),
        (
            30,
            "the default bridge is not used",
            pass(!matches!(
                text(&host["NetworkMode"]).as_str(),
                "bridge" | "default"
            )),
        ),
        (
            31,
            "the host's user namespace is not shared",
            pass(host["UsernsMode"] != "host"),
        ),
        (
            32,
            "the engine's socket is not mounted",
            pass(!sources.iter().any(|one| one.ends_with("docker.sock"))),
        ),
    ]
}
