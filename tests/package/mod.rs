//! The Debian package: what is in it, and whether the programs that will read it understand it.
//!
//! The agent in it is a stand-in, since a debug build takes its time to pack. The installation itself is tried where
//! there is a machine to install on, in the image's build.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::repository;

mod scripts;

/// The programs that the units of the package start, its own aside.
const STARTED: [&str; 2] = ["bin/sh", "sbin/agetty"];
/// What the package has that others read as they find it, and its mode.
const READ_BY_ROOT: [(&str, &str); 3] = [
    ("./etc/audit/", "-rw-r-----"),
    ("./etc/sudoers.d/", "-r--r-----"),
    ("./", "-rw-r--r--"),
];
/// Units of others that the package changes.
const CHANGED: [&str; 4] = ["docker", "containerd", "ssh", "rsyslog"];

/// A directory that goes with its test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("monopod-package-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a program that does nothing.
    fn program(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs it, and has it succeed.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup`"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

/// The package with a stand-in for the agent.
fn package(directory: &Directory) -> PathBuf {
    let agent = directory.program("agent");
    run(Command::new(repository("packer/build-deb.sh"))
        .arg(directory.join("out"))
        .env("MONOPOD_BINARY", agent)
        .env("DEB_COMPRESSION", "gzip")
        .env("SOURCE_DATE_EPOCH", "1700000000"));
    directory.join("out/monopod.deb")
}

fn unpacked(directory: &Directory) -> PathBuf {
    let root = directory.join("root");
    run(Command::new("dpkg-deb")
        .arg("--raw-extract")
        .arg(package(directory))
        .arg(&root));
    root
}

/// Every file below it, as a path on a machine.
fn files(root: &Path) -> Vec<String> {
    let listed = run(Command::new("find")
        .arg(root)
        .args(["-type", "f", "-printf", "/%P\\n"]));
    listed
        .lines()
        .filter(|path| !path.starts_with("/DEBIAN/"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn everything_belongs_to_root_and_nobody_else_writes_it() {
    let directory = Directory::new();
    let listed = run(Command::new("dpkg-deb")
        .arg("--contents")
        .arg(package(&directory)));
    let entries: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_ascii_whitespace().collect())
        .collect();
    assert!(entries.len() > 40, "{listed}");
    for entry in &entries {
        let (mode, owner, path) = (entry[0], entry[1], entry[5]);
        assert_eq!(owner, "root/root", "{path}");
        // Nobody's but the owner's to write, and no setuid, setgid or sticky bit.
        let writes = |at: usize| mode.as_bytes()[at] == b'w';
        assert!(!writes(5) && !writes(8), "{mode} {path}");
        assert!(!mode.contains(['s', 't', 'S', 'T']), "{mode} {path}");
        let program = ["./usr/bin/", "./usr/lib/monopod/", "./etc/update-motd.d/"]
            .iter()
            .any(|place| path.starts_with(place) && !path.ends_with('/'));
        let (place, file) = READ_BY_ROOT
            .into_iter()
            .find(|(place, _)| path.starts_with(place))
            .unwrap();
        let wanted = match (mode.starts_with('d'), program) {
            (true, _) if place != "./" => "drwxr-x---",
            (true, _) => "drwxr-xr-x",
            (false, true) => "-rwxr-xr-x",
            (false, false) => file,
        };
        assert_eq!(mode, wanted, "{path}");
    }
}

#[test]
fn the_same_sources_give_the_same_package() {
    let (one, other) = (Directory::new(), Directory::new());
    assert!(fs::read(package(&one)).unwrap() == fs::read(package(&other)).unwrap());
}

#[test]
fn what_an_administrator_may_change_is_asked_for_at_an_upgrade() {
    let directory = Directory::new();
    let root = unpacked(&directory);
    let listed = fs::read_to_string(root.join("DEBIAN/conffiles")).unwrap();
    let mut in_etc: Vec<String> = files(&root)
        .into_iter()
        .filter(|path| path.starts_with("/etc/"))
        .collect();
    in_etc.sort();
    assert_eq!(listed.lines().collect::<Vec<_>>(), in_etc);
    assert!(in_etc.contains(&"/etc/ssh/sshd_config.d/50-monopod.conf".to_owned()));
    // It has no drop-ins, and where it is there already it belongs to somebody.
    assert!(!in_etc.contains(&"/etc/docker/daemon.json".to_owned()));
}

/// A file of `systemd/` that no machine gets is a mistake, and so is one that goes elsewhere than its head says.
#[test]
fn every_file_goes_where_it_says() {
    let directory = Directory::new();
    let root = unpacked(&directory);
    let packed = files(&root);
    let contents: Vec<(&String, Vec<u8>)> = packed
        .iter()
        .map(|path| (path, fs::read(root.join(path.trim_start_matches('/'))).unwrap()))
        .collect();
    for entry in fs::read_dir(repository("systemd")).unwrap() {
        let source = entry.unwrap().path();
        let bytes = fs::read(&source).unwrap();
        let place = contents.iter().find(|(_, packed)| *packed == bytes);
        let (place, _) = place.unwrap_or_else(|| panic!("{} is in no package", source.display()));
        let head: String = String::from_utf8(bytes).unwrap().lines().take(16).collect();
        let said = head.contains(place.as_str());
        // JSON and PAM's profiles have no comments; the readme is about the others; what is copied by hand says where from and
        // where to.
        let silent = [
            "daemon.json",
            "pam-monopod-access",
            "README.md",
            "serial-getty-root-monopod.conf",
        ];
        let name = source.file_name().unwrap().to_str().unwrap();
        assert!(said || silent.contains(&name), "{name} does not say {place}");
    }
}

#[test]
fn systemd_understands_every_unit_and_drop_in() {
    let directory = Directory::new();
    let root = unpacked(&directory);
    let complaints = verify(&directory, &root);
    assert_eq!(complaints, "");

    // That a mistake would be seen.
    let drop_in = root.join("usr/lib/systemd/system/docker.service.d/monopod.conf");
    let text = fs::read_to_string(&drop_in).unwrap();
    fs::write(&drop_in, text + "OOMScoreAdjst=1\n").unwrap();
    assert!(verify(&directory, &root).contains("Unknown key 'OOMScoreAdjst'"));
}

fn verify(directory: &Directory, root: &Path) -> String {
    let units = root.join("usr/lib/systemd/system");
    for name in STARTED {
        directory.program(&format!("root/{name}"));
    }
    for name in CHANGED {
        let unit = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/monopod\n";
        fs::write(units.join(format!("{name}.service")), unit).unwrap();
    }
    // systemd's own, without which nothing has an order; not over ours.
    run(Command::new("cp")
        .args(["--archive", "--no-clobber", "/lib/systemd/system/."])
        .arg(&units));
    let mut names: Vec<String> = files(root)
        .iter()
        .filter_map(|path| path.strip_prefix("/usr/lib/systemd/system/"))
        .filter(|path| path.contains("monopod") && !path.contains('/'))
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 5, "{names:?}");
    names.extend(CHANGED.map(|name| format!("{name}.service")));
    names.extend(
        [
            "application.slice",
            "system.slice",
            "user.slice",
            "logrotate.timer",
        ]
        .map(str::to_owned),
    );
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", &format!("--root={}", root.display())])
        .args(names)
        .output()
        .unwrap_or_else(|error| panic!("systemd-analyze: {error}; run `make setup`"));
    // Units that came with this machine's systemd may be wrong with ours around them.
    text(&output)
        .lines()
        .filter(|line| line.contains("monopod") || CHANGED.iter().any(|name| line.contains(name)))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn tmpfiles_and_sysusers_do_what_they_say() {
    let directory = Directory::new();
    let root = unpacked(&directory);
    fs::create_dir_all(root.join("etc")).unwrap();
    let in_root = format!("--root={}", root.display());
    // In this order: the second one must not take the container's number.
    for file in ["monopod-access.conf", "monopod.conf"] {
        run(Command::new("systemd-sysusers").args([&in_root, file]));
    }
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(
        users
            .lines()
            .any(|line| line.starts_with("application:x:999:999:")),
        "{users}"
    );
    let groups = fs::read_to_string(root.join("etc/group")).unwrap();
    let number = |name: &str| -> u32 {
        let line = groups.lines().find(|line| line.split(':').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name}: {groups}"));
        line.split(':').nth(2).unwrap().parse().unwrap()
    };
    let guest = number("monopod-guest");
    assert!(
        groups.contains(&format!(
            "monopod-access-service:x:{}:granting-service\n",
            number("monopod-access-service")
        )),
        "{groups}"
    );
    for name in [
        "monopod-guest",
        "monopod-admin",
        "monopod-access-service",
        "granting-service",
    ] {
        assert!(number(name) < 999, "{name}");
    }
    assert!(
        users.contains(":/:/bin/sh\n"),
        "its forced command needs a shell: {users}"
    );
    let shadow = fs::read_to_string(root.join("etc/shadow")).unwrap();
    for line in shadow.lines() {
        assert!(
            line.split(':').nth(1).unwrap().starts_with('!'),
            "a password: {line}"
        );
    }
    run(Command::new("systemd-tmpfiles").args([&in_root, "--create", "monopod.conf"]));
    let shared = format!("750 0 {guest}");
    // What may hold a secret is the container's group's to read, or nobody's but root's; never a guest's.
    for (path, wanted) in [
        ("run/monopod", shared.as_str()),
        ("run/monopod/files", "2750 0 999"),
        ("run/monopod/secrets", "2750 0 999"),
        ("run/monopod/credentials", "2750 0 999"),
        ("run/monopod/identity", "2750 0 999"),
        ("run/monopod-access", "755 0 0"),
        ("run/monopod-access/home", "711 0 0"),
        ("run/monopod-access/state", "700 0 0"),
        ("run/userdb", "755 0 0"),
        ("mounts", "755 0 0"),
        ("var/log-custom", "755 999 999"),
    ] {
        let about = run(Command::new("stat")
            .args(["--format=%a %u %g"])
            .arg(root.join(path)));
        assert_eq!(about.trim(), wanted, "{path}");
    }
}

/// What sshd makes of it is asked on the image, where there is one (`sshd -T`).
#[test]
fn sshd_is_told_to_take_keys_alone() {
    let text = fs::read_to_string(repository("systemd/sshd-monopod.conf")).unwrap();
    for line in [
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitEmptyPasswords no",
        "PermitRootLogin prohibit-password",
        "AuthorizedKeysFile /run/monopod-access/%u .ssh/authorized_keys",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}");
    }
}

/// sshd itself says what holds for whom, from our file alone.
#[test]
fn the_granting_service_has_one_command_and_others_are_as_they_were() {
    let directory = Directory::new();
    let key = directory.join("key");
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key));
    fs::create_dir_all("/run/sshd").unwrap();
    let config = directory.join("sshd_config");
    // As Debian's: what comes after the file we are in belongs to everybody again.
    let text = format!(
        "HostKey {}\nInclude {}\nSubsystem sftp /usr/lib/openssh/sftp-server\nPrintLastLog no\n",
        key.display(),
        repository("systemd/sshd-monopod.conf").display()
    );
    fs::write(&config, text).unwrap();
    let asked = |user: &str| {
        run(Command::new("/usr/sbin/sshd")
            .arg("-T")
            .arg("-f")
            .arg(&config)
            .args(["-C", &format!("user={user},host=example.org,addr=192.0.2.1")]))
    };
    let service = asked("granting-service");
    for line in [
        "authorizedkeysfile /etc/monopod/granting-service.pub",
        "forcecommand /usr/bin/monopod access forced-command",
        "authenticationmethods publickey",
        "permittty no",
        "disableforwarding yes",
        "permituserrc no",
        "permittunnel no",
    ] {
        assert!(service.lines().any(|one| one == line), "{line}: {service}");
    }
    let other = asked("alice");
    for line in [
        "authorizedkeysfile /run/monopod-access/%u .ssh/authorized_keys",
        "forcecommand none",
        "permittty yes",
        "passwordauthentication no",
        // The line behind ours was read.
        "printlastlog no",
    ] {
        assert!(other.lines().any(|one| one == line), "{line}: {other}");
    }
}

/// Under names that `md5sum` writes in a way of its own, dpkg would say that files were changed.
#[test]
fn dpkg_finds_every_file_by_its_sum() {
    let directory = Directory::new();
    let root = unpacked(&directory);
    let sums = fs::read_to_string(root.join("DEBIAN/md5sums")).unwrap();
    let mut named: Vec<String> = sums
        .lines()
        .map(|line| format!("/{}", line.split_once("  ").unwrap().1))
        .collect();
    let mut there = files(&root);
    named.sort();
    there.sort();
    assert_eq!(named, there);
}

#[test]
fn host_keys_are_made_once() {
    let directory = Directory::new();
    let make = || {
        run(Command::new(repository("systemd/host-keys")).arg(&directory.0));
        ["ed25519", "ecdsa"].map(|kind| fs::read(directory.join(&format!("ssh_host_{kind}_key"))).unwrap())
    };
    let first = make();
    assert!(first == make(), "those that are there stay");
    let key = directory.join("ssh_host_ed25519_key");
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What a power cut leaves of a file that was never written out.
    fs::write(&key, "").unwrap();
    let [anew, other] = make();
    assert!(!anew.is_empty() && anew != first[0]);
    assert!(other == first[1]);
}

#[test]
fn closed_audit_logs_are_compressed_and_bounded() {
    let directory = Directory::new();
    let write = |name: &str| fs::write(directory.join(name), format!("in {name}\n")).unwrap();
    fs::create_dir(directory.join("audit")).unwrap();
    for closed in ["audit/audit.log", "audit/audit.log.1", "audit/audit.log.2"] {
        write(closed);
    }
    // What a shutdown left in the middle, and what the agent left at another.
    write("audit.log.1-20261120T000000Z");
    write("audit.log.sent-15-aaaaaaaa");
    for day in 10..19 {
        let name = format!("audit.log.1-202611{day}T000000Z.gz");
        write(&name);
        run(Command::new("touch")
            .arg(format!("--date=2026-11-{day}"))
            .arg(directory.join(&name)));
    }
    run(Command::new(repository("systemd/audit-log")).arg(&directory.0));
    let mut names: Vec<String> = fs::read_dir(&directory.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let (packed, others): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| name.ends_with(".gz"));
    assert_eq!(others, ["audit", "audit.log.sent-15-aaaaaaaa"]);
    assert_eq!(
        fs::read_dir(directory.join("audit")).unwrap().count(),
        1,
        "the live one stays"
    );
    assert_eq!(packed.len(), 8, "{packed:?}");
    assert!(
        packed.contains(&"audit.log.1-20261120T000000Z.gz".to_owned()),
        "{packed:?}"
    );
    assert!(
        !packed.contains(&"audit.log.1-20261113T000000Z.gz".to_owned()),
        "{packed:?}"
    );
    let newest = packed
        .iter()
        .find(|name| name.starts_with("audit.log.2-"))
        .unwrap();
    let said = run(Command::new("zcat").arg(directory.join(newest)));
    assert_eq!(said, "in audit/audit.log.2\n");
}

#[test]
fn the_engines_file_is_json_and_its_sum_is_the_purges() {
    let directory = Directory::new();
    let root = unpacked(&directory);
    let engine = root.join("usr/share/monopod/daemon.json");
    run(Command::new("python3").args(["-m", "json.tool"]).arg(&engine));
    let sum = run(Command::new("sha256sum").arg(&engine));
    let sum = sum.split_once(' ').unwrap().0;
    let purge = fs::read_to_string(root.join("DEBIAN/postrm")).unwrap();
    assert!(purge.contains(&format!("engine_sum={sum}\n")), "{purge}");
    for script in ["control", "postinst", "prerm", "postrm"] {
        let text = fs::read_to_string(root.join("DEBIAN").join(script)).unwrap();
        assert!(!text.contains('@') || script == "control", "{text}");
    }
}

#[test]
fn scripts_pass_shellcheck() {
    let scripts = [
        "packer/build-deb.sh",
        "packer/debian/postinst",
        "packer/debian/prerm",
        "packer/debian/postrm",
        "systemd/host-keys",
        "systemd/audit-log",
        "systemd/free-999",
        "systemd/motd-monopod.sh",
        "systemd/profile-monopod-access.sh",
    ];
    run(Command::new("shellcheck")
        // A profile is read by whatever shell there is, and has no first line that says so.
        .arg("--shell=sh")
        .args(scripts.iter().skip(1).map(|name| repository(name))));
    run(Command::new("shellcheck").arg(repository(scripts[0])));
}
