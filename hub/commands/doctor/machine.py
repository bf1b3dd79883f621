"""The machine: the data directory's disk, what may be written, open files, the hub's key."""

import errno
import os
import resource
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.backup import keeping
from hub.commands.doctor.finding import Report, at, quoted, reached, restored
from hub.identity import PASSPHRASE, PASSPHRASE_FILE
from hub.processes import MOVED, UNFINISHED, last_port
from keys.errors import KeyStoreFault
from keys.jwk import VerifyingKey
from keys.keystore import KeyStore

SLOW = 0.05
"""Seconds of a flush above which commits are slow."""
TRIES = 5
LITTLE, VERY_LITTLE = 0.10, 0.02
FILES = 4096
"""Open files that a worker wants to be allowed: a connection is one."""
SOON = timedelta(days=14)
OLD = timedelta(days=2)
"""Of a backup: one that is made every night has failed to come."""


def standing(report: Report, data: Path, file: Path | None) -> bool:
    """Whether a hub may start here at all; False where what is here is not yet one."""
    report.looked.append("standing")
    moved = quoted(data / MOVED)
    if (data / MOVED).exists():
        report.error("hub-moved", "最后一份备份已做，不能再在此启动", "its final backup was made: it goes on elsewhere",
                     f"rm {moved}  # 仅当那份备份决不恢复 · only if that backup is never restored")  # fmt: skip
    if (data / UNFINISHED).exists():
        report.error("restore-unfinished", "此处的恢复没有完成，再执行一次即可",
                     "a restore into it did not come to its end: run it again", restored(data, file))  # fmt: skip
        return False
    return True


def stopped(report: Report, data: Path, file: Path | None) -> None:
    """A hub that was served from here, and is not now."""
    if last_port(data) is not None and not (data / MOVED).exists():
        report.warning("hub-stopped", "枢纽没有在运行", "the hub is not running",
                       f"xieban serve {at(data, file)}  # 作为服务 · as a service: systemctl start xieban")  # fmt: skip


def backup(report: Report, data: Path, file: Path | None) -> None:
    """How old the last backup is, where one was made; whether one is needed is not for a machine to say."""
    last = keeping.last(data)
    if last is None or (data / MOVED).exists():
        return
    age = datetime.now(UTC) - last.made
    if age > OLD:
        keys = " ".join(f"--recipient {quoted(one)}" for one in last.recipients)
        report.warning("backup-old", f"最后一份备份已有 {age.days} 天", f"the last backup is {age.days} days old",
                       f"xieban backup --to {quoted(last.folder)} {keys} {at(data, file)}")  # fmt: skip


def reach(report: Report, data: Path) -> None:
    """Who else may look into the data directory; to pass through it, as an embedded database may, is no harm."""
    mode = data.stat().st_mode if reached(data) else 0
    if mode & 0o022:
        report.error("data-open", f"{data} 别人也能改", f"others can change what is in {data}",
                     f"chmod go-w,o-r {quoted(data)}")  # fmt: skip
    elif mode & 0o004:
        report.warning("data-open", f"{data} 别人也能查看", f"others can look into {data}",
                       f"chmod o-r {quoted(data)}")  # fmt: skip


def disk(report: Report, data: Path) -> None:
    """Room, the right to write, and how long a flush takes."""
    report.looked.append("disk")
    usage = shutil.disk_usage(data)
    free = usage.free / usage.total
    if free < LITTLE:
        tell = report.error if free < VERY_LITTLE else report.warning
        tell("disk-filling", f"{data} 所在磁盘只剩 {free:.1%}", f"only {free:.1%} is free where {data} is",
             f"du -xh --max-depth=2 {quoted(data)} | sort -h | tail  # 腾出空间 · make room")  # fmt: skip
    try:
        seconds = _flush(data)
    except OSError as error:
        mount = f"mount -o remount,rw $(df --output=target {quoted(data)} | tail -1)"
        report.error("data-not-writable", f"{data} 不能写入", f"{data} can't be written: {error.strerror}",
                     mount if error.errno == errno.EROFS else f"chown $(id -un) {quoted(data)}")  # fmt: skip
        return
    if seconds > SLOW:
        report.warning("disk-slow", f"落盘要 {seconds * 1000:.0f} 毫秒", f"a flush takes {seconds * 1000:.0f} ms",
                       f"df {quoted(data)}  # 换快盘，移走同盘的其他工作 · a faster disk for this one")  # fmt: skip


def _flush(data: Path) -> float:
    taken = []
    with tempfile.TemporaryFile(dir=data) as file:
        for _ in range(TRIES):
            file.write(bytes(8192))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def open_files(report: Report) -> None:
    """How many connections the system lets a worker have."""
    report.looked.append("open-files")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= most < FILES:
        report.warning("open-files", f"只许打开 {most} 个文件", f"only {most} open files are allowed",
                       f"ulimit -Hn {FILES * 16}  # systemd: LimitNOFILE={FILES * 16}")  # fmt: skip


def hub_key(report: Report, data: Path) -> None:
    """The hub's own key store and passphrase; nothing is made."""
    report.looked.append("hub-key")
    file, given = data / PASSPHRASE_FILE, os.environ.get(PASSPHRASE)
    back = f"install -m 600 hub.passphrase {quoted(file)}  # 另存的那份 · the copy that was kept elsewhere"
    back = f"export {PASSPHRASE}=…" if given else back
    if file.exists() and file.stat().st_mode & 0o077:
        report.error("passphrase-open", f"{file} 别人也能读", f"others can read {file}", f"chmod 600 {quoted(file)}")
    if not given and not file.exists():
        report.error("passphrase-absent", "没有枢纽密钥的口令", "there is no passphrase of the hub's key", back)
        return
    key_store(report, data / "keys", given or file.read_text().strip(), back, None if given else file)


def key_store(
    report: Report, folder: Path, passphrase: str | None, elsewhere: str, passphrase_file: Path | None = None
) -> None:
    """A key store: who can reach it, whether its passphrase opens it, and when its signing key ends.

    `elsewhere` is what mends a passphrase that does not open it; it is in `passphrase_file`, if in a file.
    """
    store, now = KeyStore(folder), datetime.now(UTC)
    try:
        listed = store.public_keys()
        if passphrase is not None:
            store.signing_key(passphrase, now)
    except KeyStoreFault as fault:
        report.error(
            "keystore-fault",
            f"密钥库 {folder} 不能使用",
            fault.detail,
            _mend(folder, fault, elsewhere, passphrase_file),
        )
        return
    ends = [key.expires for key in listed if isinstance(key, VerifyingKey)]
    last = max((end for end in ends if end is not None), default=None)
    if last is not None and None not in ends and last < now + SOON:
        report.warning("key-ending", f"{folder} 的签名密钥 {last:%Y-%m-%d} 到期", f"it ends {last:%Y-%m-%d}",
                       f"xieban keys new --keys {quoted(folder)}")  # fmt: skip


def _mend(folder: Path, fault: KeyStoreFault, elsewhere: str, passphrase_file: Path | None) -> str:
    if "reach" in fault.detail or "mode" in fault.detail:
        return f"chmod 700 {quoted(folder)} && chmod 600 {quoted(folder)}/*.jwe"
    if "passphrase" in fault.detail:
        return elsewhere
    given = "" if passphrase_file is None else f" --passphrase-file {quoted(passphrase_file)}"
    return f"xieban keys list --relist --keys {quoted(folder)}{given}"
