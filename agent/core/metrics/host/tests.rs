use super::*;

/// What node_exporter serves; the file says how it was made.
const THEIRS: &str = include_str!("collectors.txt");

const STAT: &str = "cpu  6242012 610377 1902509 5614912 89712 0 49290 21768 5 6\n\
    cpu0 3040593 302429 899776 2969259 27050 0 13247 10806 5 6\ncpu1 3201418 307947 1002733 2645653 62662 0 36042 10961 0 0\n\
    intr 154634655 0 0 0 1\nctxt 411715803\nbtime 1795234537\nprocesses 10773260\nprocs_running 5\nprocs_blocked 1\n\
    softirq 17 0 1\n";

const MEMINFO: &str = "MemTotal:       24684092 kB\nMemFree:        17514976 kB\nMemAvailable:   23034180 kB\n\
    Buffers:           18696 kB\nCached:          4346228 kB\nActive(anon):       8732 kB\nSwapTotal:             0 kB\n\
    Slab:            1667704 kB\nHugePages_Total:       3\nHugepagesize:       2048 kB\n";

const DISKSTATS: &str = " 259       0 nvme0n1 29008754 1373026 1599990681 54451339 8283484 6315848 1605728048 16401291 3 3262484 71910231 5212208 174 1476580480 877238 1407174 180361\n \
    259       1 nvme0n1p1 1 1 1 1 1 1 1 1 1 1 1\n   7       0 loop0 1 1 1 1 1 1 1 1 1 1 1\n 202       0 xvda 5 0 8 1\n";

const NET_DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
    lo: 32701165035 30831514    0    0    0     0          0         0 32701165035 30831514    0    0    0     0       0          0\n  \
    eth0: 4449166614  126806    1    2    0     0          0         0  7624328   73935    3    4    0     0       0          0\n\
    eth0:1: 7 7 7\n";

const NETSTAT: &str = "TcpExt: SyncookiesSent ListenOverflows TCPTimeouts TW\nTcpExt: 0 28 12 884289\n\
    IpExt: InNoRoutes InOctets\nIpExt: 0 37066151657\n";

const SNMP: &str = "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: MaxConn CurrEstab RetransSegs\nTcp: -1 2 2642\n\
    Udp: InDatagrams NoPorts InErrors\nUdp: 5 6 7\n";

const MOUNTINFO: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
    27 1 259:1 / / ro,relatime - ext4 /dev/nvme0n1p1 rw,discard\n\
    28 27 0:40 / /run rw,nosuid - tmpfs tmpfs rw,size=1k\n\
    29 27 259:1 /var/log /var/log rw - ext4 /dev/nvme0n1p1 rw\n\
    30 27 259:2 / /mounts/a\\040b rw - xfs /dev/nvme1n1 ro,noquota\n\
    31 27 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n\
    32 27 0:51 / /mnt/efs rw - nfs4 fs-1.efs.eu-central-1.amazonaws.com:/ rw\n\
    33 27 259:3 / /home rw - ext4 /dev/nvme2n1 rw\n\
    34 33 0:52 /systemd/inaccessible/dir /home ro - tmpfs tmpfs rw\n\
    35 27 0:53 /@data /data rw shared:7 - btrfs /dev/nvme3n1 rw\n\
    36 27 0:54 / /run/docker/netns/x rw - nsfs nsfs rw\n\
    37 27 0:55 / torn";

fn texts() -> Texts {
    let some = |text: &str| Some(text.to_owned());
    Texts {
        stat: some(STAT),
        ticks: Some(100),
        loadavg: some("1.51 1.18 1.02 5/327 10773260\n"),
        meminfo: some(MEMINFO),
        vmstat: some(
            "nr_free_pages 4378744\npgpgin 1\npgfault 9\npgmajfault 17\npswpin 2\noom_kill 91\nthp_fault_alloc 3\n",
        ),
        diskstats: some(DISKSTATS),
        net_dev: some(NET_DEV),
        netstat: [some(NETSTAT), some(SNMP)],
        snmp6: some(
            "Ip6InReceives 2273\nIp6InOctets 99\nIcmp6InMsgs 4\nUdp6InErrors 1\nUdpLite6InErrors 2\n",
        ),
        sockstat: [
            some("sockets: used 20\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 41\nFRAG: inuse 0 memory 0\n"),
            some("TCP6: inuse 3\n"),
        ],
        page_size: Some(4096),
        softnet: some(
            "01ba08a4 00000001 0000000f 0 0 0 0 0 0 0 0 0 00000000 0 0\n01b24b54 0 7 0 0 0 0 0 0 0 0 0 00000003 0 0\n",
        ),
        pressure: [
            some("some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n"),
            some("some avg10=0.00 total=2500000\nfull avg10=0.00 total=250\n"),
            None,
        ],
        file_nr: some("651\t0\t9223372036854775807\n"),
        entropy: [some("256\n"), some("256\n")],
        conntrack: [some("7\n"), some("262144\n")],
        uname: ["(none)", "vm", "6.1.0", "Linux", "#1 SMP"].map(some),
        architecture: "x86_64",
        now: Some(1_795_234_600.25),
        interfaces: Some(vec![Interface {
            name: "eth0".to_owned(),
            state: some("up\n"),
            carrier: some("1\n"),
            carrier_changes: some("2\n"),
            mtu: some("9001\n"),
            speed: some("-1\n"),
        }]),
        filesystems: Some(vec![
            Filesystem {
                mount: mounts(MOUNTINFO).remove(0),
                space: Some(Space {
                    size: 1000,
                    free: 400,
                    available: 300,
                    files: 20,
                    files_free: 10,
                }),
            },
            Filesystem {
                mount: mounts(MOUNTINFO).remove(2),
                space: None,
            },
        ]),
    }
}

fn told(texts: &Texts) -> String {
    let mut out = Exposition::default();
    let verdicts = write(&mut out, texts);
    write_verdicts(&mut out, &verdicts);
    out.finish()
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|one| one == line)
}

#[test]
fn figures_are_those_of_node_exporter() {
    let text = told(&texts());
    for line in [
        "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 30405.93",
        "node_cpu_seconds_total{cpu=\"1\",mode=\"steal\"} 109.61",
        "node_cpu_guest_seconds_total{cpu=\"0\",mode=\"nice\"} 0.06",
        "node_boot_time_seconds 1795234537",
        "node_context_switches_total 411715803",
        "node_intr_total 154634655",
        "node_forks_total 10773260",
        "node_procs_blocked 1",
        "node_load15 1.02",
        "node_memory_MemAvailable_bytes 23587000320",
        "node_memory_Active_anon_bytes 8941568",
        "node_memory_HugePages_Total 3",
        "node_vmstat_pgmajfault 17",
        "node_vmstat_oom_kill 91",
        "node_disk_read_bytes_total{device=\"nvme0n1\"} 819195228672",
        "node_disk_io_time_seconds_total{device=\"nvme0n1\"} 3262.484",
        "node_disk_io_now{device=\"nvme0n1\"} 3",
        "node_network_receive_drop_total{device=\"eth0\"} 2",
        "node_network_transmit_errs_total{device=\"eth0\"} 3",
        "node_network_up{device=\"eth0\"} 1",
        "node_network_mtu_bytes{device=\"eth0\"} 9001",
        "node_netstat_Tcp_CurrEstab 2",
        "node_netstat_TcpExt_ListenOverflows 28",
        "node_netstat_Udp_InErrors 7",
        "node_netstat_Ip6_InOctets 99",
        "node_netstat_UdpLite6_InErrors 2",
        "node_sockstat_sockets_used 20",
        "node_sockstat_TCP_mem_bytes 167936",
        "node_sockstat_TCP6_inuse 3",
        "node_softnet_processed_total{cpu=\"3\"} 28461908",
        "node_pressure_cpu_waiting_seconds_total 1.5",
        "node_pressure_memory_stalled_seconds_total 0.00025",
        "node_filefd_maximum 9223372036854775807",
        "node_nf_conntrack_entries_limit 262144",
        "node_time_seconds 1795234600.25",
        "node_uname_info{domainname=\"(none)\",machine=\"x86_64\",nodename=\"vm\",release=\"6.1.0\",sysname=\"Linux\",version=\"#1 SMP\"} 1",
        "node_filesystem_avail_bytes{device=\"/dev/nvme0n1p1\",fstype=\"ext4\",mountpoint=\"/\"} 300",
        "node_filesystem_readonly{device=\"/dev/nvme0n1p1\",fstype=\"ext4\",mountpoint=\"/\"} 0",
        "node_filesystem_readonly{device=\"/dev/nvme1n1\",fstype=\"xfs\",mountpoint=\"/mounts/a b\"} 1",
        "node_filesystem_device_error{device=\"/dev/nvme1n1\",fstype=\"xfs\",mountpoint=\"/mounts/a b\"} 1",
        "node_scrape_collector_success{collector=\"cpu\"} 1",
    ] {
        assert!(has(&text, line), "{line} is missing in\n{text}");
    }
    for absent in [
        "nvme0n1p1\"} 1",
        "loop0",
        "thp_fault",
        "TW ",
        "DefaultTTL",
        "eth0:1",
        "node_pressure_io",
        "node_network_speed_bytes",
        "node_disk_writes_completed_total{device=\"xvda\"}",
        "node_filesystem_size_bytes{device=\"/dev/nvme1n1\"",
    ] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
}

#[test]
fn every_name_type_and_label_is_one_of_theirs() {
    let text = told(&texts());
    let theirs = |name: &str| {
        let mut lines = THEIRS
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines
            .next()
            .map(|line| line.split_once(' ').unwrap_or((line, "")))
    };
    let mut count = 0;
    for line in text.lines().filter(|line| !line.starts_with("# HELP")) {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            assert_eq!(theirs(name).map(|(kind, _)| kind), Some(kind), "{name}");
            count += 1;
            continue;
        }
        let sample = crate::metrics::samples::sample(line).unwrap();
        let labels: Vec<&str> = sample.labels.keys().copied().collect();
        assert_eq!(
            theirs(sample.name).map(|(_, labels)| labels),
            Some(&*labels.join(",")),
            "{line}"
        );
    }
    assert!(count > 90, "{count}");
}

#[test]
fn file_systems_are_those_of_the_machine() {
    let all = mounts(MOUNTINFO);
    let all: Vec<(&str, &str, bool)> = all
        .iter()
        .map(|one| (&*one.place, &*one.kind, one.read_only))
        .collect();
    assert_eq!(
        all,
        [
            // The sandbox's mount is read-only, the file system is not.
            ("/", "ext4", false),
            ("/run", "tmpfs", false),
            ("/mounts/a b", "xfs", true),
            ("/data", "btrfs", false),
        ]
    );
}

#[test]
fn what_could_not_be_read_is_left_out() {
    let text = told(&Texts::default());
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    assert_eq!(names, ["node_scrape_collector_success gauge"]);
    assert!(!text.contains("} 1"), "{text}");
    assert_eq!(text.matches("} 0").count(), COLLECTORS.len());
}

/// Every text cut at every byte, and with nonsense in place of each: nothing panics, and what comes is a whole scrape.
#[test]
fn torn_and_hostile_texts_make_no_figure_up() {
    let whole = texts();
    let known: std::collections::BTreeSet<String> = told(&whole)
        .lines()
        .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
        .collect();
    let cut = |text: &Option<String>, at: usize| {
        let text = text.as_ref()?;
        Some(text.get(..at.min(text.len()))?.to_owned())
    };
    for at in 0..900 {
        let torn = Texts {
            stat: cut(&whole.stat, at),
            loadavg: cut(&whole.loadavg, at),
            meminfo: cut(&whole.meminfo, at),
            vmstat: cut(&whole.vmstat, at),
            diskstats: cut(&whole.diskstats, at),
            net_dev: cut(&whole.net_dev, at),
            netstat: whole.netstat.each_ref().map(|text| cut(text, at)),
            snmp6: cut(&whole.snmp6, at),
            sockstat: whole.sockstat.each_ref().map(|text| cut(text, at)),
            softnet: cut(&whole.softnet, at),
            pressure: whole.pressure.each_ref().map(|text| cut(text, at)),
            file_nr: cut(&whole.file_nr, at),
            ..whole.clone()
        };
        let families = crate::metrics::samples::families(&told(&torn));
        assert!(families.is_ok(), "{families:?} at {at}");
        for line in told(&torn).lines().filter(|line| line.starts_with("node_disk")) {
            assert!(known.contains(line.rsplit_once(' ').unwrap().0), "{line} at {at}");
        }
        drop(mounts(MOUNTINFO.get(..at).unwrap_or(MOUNTINFO)));
    }
    for nonsense in [
        "\0\0\0",
        "cpu0 -1 x\ncpu1",
        ": : :\n:",
        "some total=\nfull total=x",
        "Tcp: a\nTcp: 1 2\n",
        "{}\"\\\n",
    ] {
        let all = Some(nonsense.to_owned());
        let hostile = Texts {
            stat: all.clone(),
            loadavg: all.clone(),
            meminfo: all.clone(),
            vmstat: all.clone(),
            diskstats: all.clone(),
            net_dev: all.clone(),
            netstat: [all.clone(), all.clone()],
            snmp6: all.clone(),
            sockstat: [all.clone(), all.clone()],
            softnet: all.clone(),
            pressure: [all.clone(), all.clone(), all.clone()],
            file_nr: all.clone(),
            entropy: [all.clone(), all.clone()],
            conntrack: [all.clone(), all],
            ..Texts::default()
        };
        let text = told(&hostile);
        assert!(crate::metrics::samples::families(&text).is_ok(), "{text}");
        assert!(!text.contains("} 1\n"), "{nonsense:?} gave\n{text}");
    }
}
