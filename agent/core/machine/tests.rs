use super::*;
use crate::config::parse;
use crate::plan::Plan;

const BASE: &str = "#taupage-ami-config\napplication_id: my-app\napplication_version: v1\nruntime: Docker\nsource: registry.example.org/team/app:1\n";

fn config(text: &str) -> Config {
    let report = parse(format!("{BASE}{text}\n").as_bytes(), "user data");
    report
        .config()
        .cloned()
        .unwrap_or_else(|| panic!("{:?}", report.problems()))
}

fn plan(text: &str) -> Plan {
    Plan::new(&config(text), Vec::new(), None)
}

fn names(all: &[(String, String)]) -> Vec<&str> {
    all.iter().map(|(name, _)| name.as_str()).collect()
}

const SETTINGS: &str = "sysctl:\n  net.ipv4.tcp_keepalive_time: 60\n  fs.file-max: 1000\n  net.core.somaxconn: 1024\n  net.core.rmem_max: 8388608\n  kernel.shmmax: 68719476736\n  vm.max_map_count: 262144\n  net.ipv4.tcp_mem: 1 2 3\n";

#[test]
fn each_setting_goes_to_one_of_the_two() {
    let both = plan(SETTINGS);
    assert_eq!(
        names(&both.container.sysctls),
        [
            "kernel.shmmax",
            "net.core.somaxconn",
            "net.ipv4.tcp_keepalive_time"
        ]
    );
    assert_eq!(
        names(&both.machine.sysctl),
        [
            "fs.file-max",
            "net.core.rmem_max",
            "vm.max_map_count",
            "net.ipv4.tcp_mem"
        ]
    );
    let host = plan(&format!("networking: host\n{SETTINGS}"));
    assert_eq!(names(&host.container.sysctls), ["kernel.shmmax"]);
    assert_eq!(host.machine.sysctl.len(), 6);
}

#[test]
fn the_machine_s_settings_leave_the_container_alone() {
    let intent = |text: &str| plan(text).intent;
    assert_eq!(intent(""), intent("sysctl: {fs.file-max: 1000}"));
    assert_eq!(
        intent("networking: host"),
        intent("networking: host\nsysctl: {net.core.somaxconn: 1}")
    );
    let with = intent("sysctl: {net.core.somaxconn: 1}");
    assert_ne!(with, intent(""));
    assert_ne!(with, intent("sysctl: {net.core.somaxconn: 2}"));
    assert_eq!(with, intent("sysctl: {net/core/somaxconn: 1}"));
}

#[test]
fn names_and_paths() {
    for (text, name, path) in [
        ("net.core.somaxconn", "net.core.somaxconn", "net/core/somaxconn"),
        ("net/core/somaxconn", "net.core.somaxconn", "net/core/somaxconn"),
        (
            "net.ipv4.conf.eth0/100.rp_filter",
            "net.ipv4.conf.eth0/100.rp_filter",
            "net/ipv4/conf/eth0.100/rp_filter",
        ),
        (
            "net/ipv4/conf/eth0.100/rp_filter",
            "net.ipv4.conf.eth0/100.rp_filter",
            "net/ipv4/conf/eth0.100/rp_filter",
        ),
    ] {
        assert_eq!(sysctl::canonical_name(text), name);
        assert_eq!(sysctl::path(name), path);
    }
}

#[test]
fn interfaces_of_the_machine_stay_the_machine_s() {
    let own = |name| sysctl::is_of_container(name, Networking::Bridge);
    for name in [
        "net.ipv4.conf.all.rp_filter",
        "net.ipv4.conf.eth0.rp_filter",
        "net.ipv6.conf.default.disable_ipv6",
        "net.ipv4.neigh.lo.gc_stale_time",
        "net.unix.max_dgram_qlen",
        "fs.mqueue.msg_max",
    ] {
        assert!(own(name), "{name}");
    }
    for name in [
        "net.ipv4.conf.ens5.rp_filter",
        "net.ipv4.conf.docker0.route_localnet",
        "net.ipv4.neigh.default.gc_thresh3",
        "net.ipv4.route.max_size",
        "net.netfilter.nf_conntrack_tcp_timeout_established",
        "net.nf_conntrack_max",
        "kernel.shm_next_id",
        "kernel.pid_max",
        "fs.mqueue",
    ] {
        assert!(!own(name), "{name}");
    }
}

#[test]
fn what_the_kernel_would_run_is_refused() {
    for (name, value) in [
        ("kernel.core_pattern", "|/tmp/x %p"),
        ("kernel.core_pattern", "\"  |/tmp/x\""),
        ("kernel/modprobe", "/tmp/x"),
        ("kernel.usermodehelper.bset", "0 0"),
        ("fs.binfmt_misc.register", "x"),
    ] {
        let text = format!("{BASE}sysctl: {{{name}: '{}'}}\n", value.trim_matches('"'));
        let report = parse(text.as_bytes(), "user data");
        assert!(report.config().is_none(), "{name}");
        let problem = &report.problems()[0];
        assert!(problem.message.contains("as root"), "{}", problem.message);
        assert!(!problem.message.contains("/tmp/x"));
    }
    assert_eq!(
        plan("sysctl: {kernel.core_pattern: /tmp/core.%e}")
            .machine
            .sysctl
            .len(),
        1
    );
}

#[test]
fn values_are_compared_as_the_kernel_does() {
    assert!(sysctl::is_same("32768\t60999\n", " 32768 60999"));
    assert!(!sysctl::is_same("1", "10"));
    assert!(sysctl::is_chosen("always [madvise] never\n", "madvise"));
    assert!(!sysctl::is_chosen("always [madvise] never\n", "never"));
}

#[test]
fn the_file_of_sysctl_d_passes_over_what_is_not_there() {
    let text = sysctl::file(&[("net.ipv4.conf.eth0/1.rp_filter".to_owned(), "2".to_owned())]);
    assert!(
        text.ends_with("\n-net/ipv4/conf/eth0.1/rp_filter = 2\n"),
        "{text}"
    );
}

#[test]
fn the_container_waits_for_kernel_settings_alone() {
    for text in [
        "sysctl: {vm.swappiness: 1}",
        "sysfs: {/sys/kernel/mm/transparent_hugepage/enabled: never}",
    ] {
        assert!(plan(text).preparation().is_some(), "{text}");
    }
    for text in [
        "",
        "ssh_ports: [22]",
        "keep_instance_users: false",
        "mount_custom_log: true",
        "sysctl: {net.core.somaxconn: 1}",
    ] {
        assert!(plan(text).preparation().is_none(), "{text}");
    }
}

#[test]
fn the_drop_in_of_sshd() {
    let text = |text| sshd::drop_in(&plan(text).machine);
    assert_eq!(text(""), None);
    let both = text("ssh_ports: [22, 2222, 22]\nssh_gateway_ports: clientspecified").unwrap_or_default();
    assert!(
        both.ends_with(": changes here are lost.\nPort 22\nPort 2222\nGatewayPorts clientspecified\n"),
        "{both}"
    );
    assert_eq!(sshd::ports(&both), [22, 2222]);
    assert!(sshd::includes_drop_ins(
        "# x\n Include /etc/ssh/sshd_config.d/*.conf\nPort 22"
    ));
    assert!(!sshd::includes_drop_ins(
        "#Include /etc/ssh/sshd_config.d/*.conf\nInclude /etc/ssh/other\n"
    ));
    assert_eq!(
        sshd::ports("#Port 1\nport 2222\nPort 22 # ours\nPortx 3\n"),
        [22, 2222]
    );
}

#[test]
fn sshd_complains_of_more_than_the_text() {
    assert!(sshd::takes_text(true, ""));
    assert!(sshd::takes_text(
        false,
        "sshd: no hostkeys available -- exiting.\r\n"
    ));
    assert!(sshd::takes_text(
        false,
        "Missing privilege separation directory: /run/sshd\r\n"
    ));
    assert!(!sshd::takes_text(
        false,
        "x line 2: Bad configuration option: Prot\r\n"
    ));
}

#[test]
fn custom_logs_stay_in_their_part_of_the_budget() {
    assert_eq!(plan("").machine.custom_logs, None);
    let logs = |text: &str| {
        plan(&format!("mount_custom_log: true\n{text}"))
            .machine
            .custom_logs
            .unwrap_or_else(|| panic!("{text}"))
    };
    let plain = logs("");
    assert_eq!(
        (plain.size, plain.interval.as_str(), plain.keep),
        (256 << 20, "daily", 5)
    );
    let file = plain.file();
    for line in [
        "/var/log-custom/*.log {",
        "    daily",
        "    maxsize 268435456",
        "    rotate 5",
        "    copytruncate",
    ] {
        assert!(file.lines().any(|one| one == line), "{line}: {file}");
    }
    let own = logs(
        "customlog_logrotate_size: 10M\ncustomlog_logrotate_interval: hourly\ncustomlog_logrotate_rotate: 2",
    );
    assert_eq!(
        (own.size, own.interval.as_str(), own.keep),
        (10 << 20, "hourly", 2)
    );
    assert_eq!(
        logs("customlog_logrotate_size: 10G").size,
        256 << 20,
        "half of a quarter of 2 GiB"
    );
}

#[test]
fn the_cloud_image_s_own_users() {
    let passwd = "root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000:Debian:/home/admin:/bin/bash\n\
                  alice:x:1001:1001::/home/alice:/bin/bash\nmade:x:1002:1002::/home/made:/bin/bash\n\
                  ubuntu:x:13:13::/home/x:/bin/false\ndebian:x:1003:1003::/root:/bin/sh\nbroken\n";
    let sudoers =
        "# Created by cloud-init\nmade ALL=(ALL) NOPASSWD:ALL\nroot ALL=(ALL) ALL\n%wheel ALL=(ALL) ALL\n";
    let found = cloud_init::homes(passwd, sudoers);
    let homes: Vec<&str> = found.iter().map(|(_, home)| home.as_str()).collect();
    assert_eq!(homes, ["/home/admin", "/home/made"]);
}

#[test]
fn cloud_init_is_waited_for() {
    assert!(cloud_init::is_past_keys(false, None));
    assert!(!cloud_init::is_past_keys(true, None));
    assert!(!cloud_init::is_past_keys(true, Some("{")));
    let status = |finished: &str| {
        format!(
            "{{\"v1\": {{\"datasource\": null, \"init\": {{\"errors\": [], \"finished\": {finished}, \"start\": 1.5}}, \"stage\": \"init\"}}}}"
        )
    };
    assert!(!cloud_init::is_past_keys(true, Some(&status("null"))));
    assert!(cloud_init::is_past_keys(true, Some(&status("1732221600.25"))));
}

#[test]
fn devices_by_their_description() {
    let engine = |directories: &[&str], devices: &[&str]| gpu::Engine {
        directories: directories.iter().map(ToString::to_string).collect(),
        devices: devices.iter().map(ToString::to_string).collect(),
    };
    let none = |_: &[String]| false;
    let there = |_: &[String]| true;
    assert_eq!(engine(&[], &[]).way(there), gpu::Way::Hook, "CDI is off");
    assert_eq!(engine(&["/etc/cdi"], &[]).way(none), gpu::Way::Hook);
    assert_eq!(engine(&["/etc/cdi"], &[]).way(there), gpu::Way::Cdi);
    assert_eq!(
        engine(&["/etc/cdi"], &["nvidia.com/gpu=all"]).way(none),
        gpu::Way::Cdi
    );
    assert_eq!(
        engine(&["/etc/cdi"], &["nvidia.com/gpu=0"]).way(none),
        gpu::Way::Hook
    );
}

#[test]
fn descriptions_of_nvidia_s_toolkit() {
    let yaml = "---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n- name: all\n  containerEdits: {}\n";
    assert!(gpu::describes(yaml));
    assert!(!gpu::describes(&yaml.replace("- name: all", "- name: \"1\"")));
    assert!(!gpu::describes(&yaml.replace("nvidia.com/gpu", "nvidia.com/mig")));
    let json = "{\"cdiVersion\":\"0.5.0\",\"kind\":\"nvidia.com/gpu\",\"devices\":[{\"name\":\"all\",\"containerEdits\":{}}]}";
    assert!(gpu::describes(json));
    assert!(!gpu::describes(
        "{\"kind\":\"vendor.com/net\",\"devices\":[{\"name\":\"all\"}]}"
    ));
}
