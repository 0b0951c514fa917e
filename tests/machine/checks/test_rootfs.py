"""The machine image as it lies there, before any boot: what makes two machines the same must not be in it.

`make image-test` runs this on target/machine/rootfs, as root.
"""

import json
import os
import re
import stat
from pathlib import Path

import pytest

ROOTFS = Path(os.environ.get("ROOTFS", Path(__file__).parents[3] / "target/machine/rootfs"))


def table(name):
    """The lines of passwd, shadow or group."""
    return [line.split(":") for line in (ROOTFS / "etc" / name).read_text().splitlines()]


def walk(*places):
    """Everything below, as (path inside the image, its lstat)."""
    for place in places or ("",):
        for directory, directories, files in os.walk(ROOTFS / place):
            for name in directories + files:
                path = Path(directory, name)
                yield "/" + str(path.relative_to(ROOTFS)), path.lstat()


@pytest.fixture(scope="module")
def everything():
    return list(walk())


def lies(*patterns):
    return sorted("/" + str(path.relative_to(ROOTFS)) for pattern in patterns for path in ROOTFS.glob(pattern))


def test_the_first_boot_makes_an_identity_of_its_own():
    assert (ROOTFS / "etc/machine-id").read_bytes() == b""
    assert lies(
        "etc/ssh/ssh_host_*",
        "var/lib/dbus/machine-id",
        "var/lib/systemd/random-seed",
        "var/lib/systemd/credential.secret",
        "etc/docker/key.json",
        "etc/hostid",
    ) == []


def test_nothing_tells_of_the_machine_that_built_it():
    assert lies(
        ".dockerenv",
        "packer-files",
        "tmp/*",
        "var/tmp/*",
        "run/*",
        "root/.bash_history",
        "home/*/.bash_history",
        "var/lib/cloud/*",
        "var/lib/dhcp/*",
        "var/lib/docker",
        "var/lib/containerd",
        "var/lib/monopod",
        "var/lib/apt/lists/*",
        "var/cache/apt/archives/*.deb",
        "usr/sbin/policy-rc.d",
        "etc/apt/apt.conf.d/*proxy*",
    ) == []
    logs = [path for path, status in walk("var/log") if stat.S_ISREG(status.st_mode)]
    assert logs == []
    sources = "".join(path.read_text() for path in (ROOTFS / "etc/apt").rglob("*.sources"))
    assert set(re.findall(r"https?://([^/\s]+)", sources)) == {"deb.debian.org"}
    assert not (ROOTFS / "etc/apt/sources.list").exists()


def test_nobody_has_a_password_or_a_key():
    assert [name for name, password, *_ in table("shadow") if not password.startswith(("!", "*"))] == []
    assert lies("root/.ssh", "home/*/.ssh", "etc/ssh/authorized_keys*") == []
    assert [name for name, _, uid, *_ in table("passwd") if uid == "0"] == ["root"]


def test_999_is_the_container_s_user_and_nobody_else_s():
    assert [(name, gid, shell) for name, _, uid, gid, _, _, shell in table("passwd") if uid == "999"] == [
        ("application", "999", "/usr/sbin/nologin")
    ]
    assert [name for name, _, gid, _ in table("group") if gid == "999"] == ["application"]


def test_each_file_belongs_to_somebody(everything):
    users = {int(uid) for _, _, uid, *_ in table("passwd")}
    groups = {int(gid) for _, _, gid, _ in table("group")}
    strangers = [path for path, status in everything if status.st_uid not in users or status.st_gid not in groups]
    assert strangers == []
    # What belongs to the application is its own log directory, nothing more.
    assert [path for path, status in everything if 999 in (status.st_uid, status.st_gid)] == ["/var/log-custom"]


def test_nobody_may_write_what_others_use(everything):
    devices = {"/dev/full", "/dev/null", "/dev/ptmx", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"}
    writable = [
        path
        for path, status in everything
        if status.st_mode & 0o002
        and not stat.S_ISLNK(status.st_mode)
        and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX)
        and path not in devices
    ]
    assert writable == []


def test_setuid_programs_are_the_known_ones(everything):
    """One more is one more way to root."""
    found = {path for path, status in everything if stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000}
    assert found == {
        "/usr/bin/chage",
        "/usr/bin/chfn",
        "/usr/bin/chsh",
        "/usr/bin/expiry",
        "/usr/bin/gpasswd",
        "/usr/bin/mount",
        "/usr/bin/newgrp",
        "/usr/bin/passwd",
        "/usr/bin/ssh-agent",
        "/usr/bin/su",
        "/usr/bin/sudo",
        "/usr/bin/umount",
        "/usr/lib/dbus-1.0/dbus-daemon-launch-helper",
        "/usr/lib/openssh/ssh-keysign",
        "/usr/sbin/unix_chkpwd",
    }


def test_there_is_no_secret_in_it():
    known = re.compile(
        rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bA[KS]IA[0-9A-Z]{16}\b|aws_secret_access_key *=|\"auth\": *\"|xox[bp]-[0-9]{8}"
    )
    found = []
    for path, status in walk("etc", "root", "home", "opt", "srv", "var", "usr/lib/monopod", "usr/share/monopod", "usr/share/doc/monopod"):
        if stat.S_ISREG(status.st_mode) and known.search((ROOTFS / path[1:]).read_bytes()):
            found.append(path)
    assert found == []


def test_files_have_the_modes_they_need():
    def mode(path):
        status = (ROOTFS / path).lstat()
        return f"{stat.S_IMODE(status.st_mode):o} {status.st_uid}"

    assert {
        path: mode(path)
        for path in [
            "etc/monopod",
            "etc/monopod/defaults.d",
            "etc/monopod/defaults.d/50-image.yaml",
            "etc/monopod/image.json",
            "etc/docker/daemon.json",
            "etc/shadow",
            "etc/sudoers",
            "etc/sudoers.d/monopod",
            "root",
            "usr/bin/monopod",
            "mounts",
        ]
    } == {
        "etc/monopod": "755 0",
        "etc/monopod/defaults.d": "755 0",
        "etc/monopod/defaults.d/50-image.yaml": "644 0",
        "etc/monopod/image.json": "644 0",
        "etc/docker/daemon.json": "644 0",
        "etc/shadow": "640 0",
        "etc/sudoers": "440 0",
        "etc/sudoers.d/monopod": "440 0",
        "root": "700 0",
        "usr/bin/monopod": "755 0",
        "mounts": "755 0",
    }


def test_units_are_enabled_or_masked():
    units = ROOTFS / "etc/systemd/system"
    wanted = {path.name for path in units.glob("*.wants/*")}
    assert {
        "containerd.service",
        "docker.service",
        "monopod.service",
        "monopod-drain.service",
        "monopod-poweroff.path",
        "monopod-access.path",
        "monopod-access.socket",
        "monopod-firewall.socket",
        "rsyslog.service",
        "serial-getty@ttyS0.service",
        "ssh.service",
    } <= wanted
    # The last one begins with `flush ruleset`: the engine's rules and ours would go.
    for unit in ["apt-daily.timer", "apt-daily-upgrade.timer", "nftables.service"]:
        assert os.readlink(units / unit) == "/dev/null"
    # Wanted by the agent's unit; enabled by itself it would run where there is no agent.
    assert "monopod-prepare.service" not in wanted
    # Sockets start these.
    assert not {"monopod-access.service", "monopod-firewall.service"} & wanted


def test_logins_for_a_time_have_what_they_need():
    names = (ROOTFS / "etc/nsswitch.conf").read_text()
    for table_of in ["passwd", "group", "shadow"]:
        assert re.search(rf"^{table_of}:.*\bsystemd\b", names, re.M), table_of
    session = (ROOTFS / "etc/pam.d/common-session").read_text()
    told = [line for line in session.splitlines() if "monopod" in line and not line.startswith("#")]
    assert [line.split()[:3] for line in told] == [["session", "optional", "pam_exec.so"]]
    assert "/usr/bin/timeout" in told[0]
    # Neither cron nor sudo.
    assert "monopod" not in (ROOTFS / "etc/pam.d/common-session-noninteractive").read_text()
    for program in ["usr/sbin/nft", "usr/bin/sudo", "usr/bin/timeout"]:
        assert (ROOTFS / program).is_file(), program
    members = {name: users for name, _, _, users in table("group")}
    assert members["monopod-access-service"] == "granting-service"
    assert members["monopod-guest"] == members["monopod-admin"] == ""
    # Who builds the image gives a service its keys; this one has none.
    assert not (ROOTFS / "etc/monopod/granting-service.pub").exists()


def test_image_json_says_what_is_in_it():
    said = json.loads((ROOTFS / "etc/monopod/image.json").read_text())
    assert set(said) == {"schema", "name", "built", "commit", "base", "system", "architecture", "kernel", "packages"}
    assert said["schema"] == 1
    assert re.fullmatch(r"monopod-debian-12-amd64-\d{8}-\d{6}", said["name"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["built"])
    assert set(said["base"]) == {"id", "name"}
    assert (ROOTFS / "boot" / f"vmlinuz-{said['kernel']}").is_file()
    installed = {}
    for entry in (ROOTFS / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version): (.*)$", entry, re.M))
        if fields:
            installed[fields["Package"]] = fields["Version"]
    assert {name: installed.get(name) for name in said["packages"]} == said["packages"]
    assert {"monopod", "docker.io", "containerd", "runc", "systemd"} <= set(said["packages"])
