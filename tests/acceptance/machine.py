"""A machine of its own for systemd: this one's files, seen through an overlay that is forgotten, in namespaces."""

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.pages import ROOT

SYSTEMD = Path("/lib/systemd/systemd")
PYTHON = Path("/usr/bin/python3")
GROUPS = Path("/sys/fs/cgroup")
WITHIN = 60.0
BOOT = """
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs {folder}
mkdir -p {folder}/upper {folder}/work {folder}/root
mount -t overlay overlay -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {folder}/root
cd {folder}/root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in run tmp dev; do mount -t tmpfs tmpfs $place; done
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  IFS=: read -r name major minor <<< $node; mknod -m 666 dev/$name c $major $minor
done
mkdir -m 1777 dev/shm
mkdir dev/pts old
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
find etc/systemd/system -mindepth 1 -delete
rm -rf var/log/journal etc/xieban var/lib/xieban
mkdir -p opt/xieban/code opt/xieban/packages
mount --bind {root} opt/xieban/code
mount --bind {packages} opt/xieban/packages
cat > usr/local/bin/xieban <<'end'
#!/bin/sh
PYTHONPATH=/opt/xieban/code:/opt/xieban/packages exec {python} -m hub.commands "$@"
end
chmod 755 usr/local/bin/xieban
chroot . userdel xieban || true  # that of the embedded database, on a machine where root runs one
ip link set lo up
pivot_root . old
umount -l /old
exec env -i container=xieban PATH=/usr/sbin:/usr/bin:/sbin:/bin {systemd} --unit=multi-user.target
"""


def why_not() -> str | None:
    """What this machine lacks for it, None where nothing."""
    if os.geteuid() != 0 or not SYSTEMD.exists() or not PYTHON.exists():
        return "needs root, systemd, and Debian's own python3"
    asked = [str(PYTHON), "-c", "import sys; print(*sys.version_info[:2])"]
    if subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split() != list(
        map(str, sys.version_info[:2])
    ):
        return "Debian's python3 is of another version than the environment's, whose packages it would need"
    return None


@dataclass
class Machine:
    """One that runs; `first` is its systemd, by the id that it has here."""

    first: int
    root: Path

    def shell(self, script: str) -> str:
        """What the commands say; each must succeed."""
        done = self.tried(script)
        noted = "" if done.returncode == 0 else self.tried("journalctl --lines 20 --output cat").stdout
        assert done.returncode == 0, (script, done.stdout, done.stderr, noted)
        return done.stdout

    def tried(self, script: str) -> subprocess.CompletedProcess[str]:
        """The commands, as root on it."""
        inside = ["nsenter", "--target", str(self.first), "--all", "--root", "--wd", "env", "-i"]
        known = ["HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        command = [*inside, *known, "bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    def until(self, script: str) -> str:
        """What the commands say once they succeed."""
        end = time.monotonic() + WITHIN
        while (done := self.tried(script)).returncode != 0:
            assert time.monotonic() < end, (script, done.stdout, done.stderr)
            time.sleep(0.2)
        return done.stdout


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """It is up; everything on it ends with the context."""
    with tempfile.TemporaryDirectory(prefix="machine-") as folder, _group() as group:
        words = {"folder": folder, "root": ROOT, "packages": sysconfig.get_path("purelib")}
        script = BOOT.format(python=PYTHON, systemd=SYSTEMD, **words)
        apart = ["unshare", "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net", "--fork", "--kill-child"]
        entered = f'echo $$ > {group}/cgroup.procs; exec {" ".join(apart)} bash -c "$0"'
        process = subprocess.Popen(["bash", "-c", entered, script], stdin=subprocess.DEVNULL)
        try:
            first = _child(process)
            found = Machine(first, Path(folder) / "root")
            found.until("systemctl is-active --quiet multi-user.target")
            yield found
        finally:
            process.kill()
            process.wait()


def _child(process: "subprocess.Popen[bytes]") -> int:
    """The first process of the machine, once it is there."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + WITHIN
    while not (children := listed.read_text().split()):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    return int(children[0])


@contextlib.contextmanager
def _group() -> Iterator[Path]:
    """A control group of its own (cgroups v2), removed with all that was made below."""
    with tempfile.TemporaryDirectory(prefix="groups-") as folder:
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", folder], check=True)
        group = Path(folder) / f"xieban-{os.getpid()}"
        group.mkdir()
        try:
            yield group
        finally:
            _removed(group)
            subprocess.run(["umount", folder], check=True)


def _removed(group: Path) -> None:
    end = time.monotonic() + WITHIN
    while "populated 0" not in (group / "cgroup.events").read_text():
        assert time.monotonic() < end
        time.sleep(0.1)
    for folder, _, _ in os.walk(group, topdown=False):
        os.rmdir(folder)
