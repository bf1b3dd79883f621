"""The embedded database: one hub a directory, orphans stopped, long paths, safe settings, clear words otherwise."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from hub.store import embedded


async def test_it_listens_on_no_port_and_commits_to_disk(data: Path) -> None:
    connection = await asyncpg.connect(embedded.dsn(data))
    settings = {name: await connection.fetchval(f"SHOW {name}") for name in ("listen_addresses", "fsync")}
    settings["synchronous_commit"] = await connection.fetchval("SHOW synchronous_commit")
    assert settings == {"listen_addresses": "", "fsync": "on", "synchronous_commit": "on"}
    assert await connection.fetchval("SHOW data_checksums") == "on"
    await connection.close()
    assert stat.S_IMODE((data / "postgres").stat().st_mode) == 0o700


async def test_a_server_that_outlived_its_hub_is_stopped_before_a_new_one_starts(tmp_path: Path) -> None:
    code = f"""
import asyncio, os
from pathlib import Path
from hub.store import embedded
async def main():
    await embedded.start(Path({str(tmp_path)!r}))
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.getcwd()}, check=False)
    assert done.returncode == -signal.SIGKILL
    orphan = int((tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    assert Path(f"/proc/{orphan}").exists()
    server = await embedded.start(tmp_path)
    connection = await asyncpg.connect(server.dsn)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    assert int((tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()[0]) != orphan
    await server.stop()


async def test_a_stale_pid_file_that_names_another_program_kills_nobody(tmp_path: Path) -> None:
    server = await embedded.start(tmp_path)
    await server.stop()
    bystander = subprocess.Popen(["sleep", "60"])
    (tmp_path / "postgres" / "postmaster.pid").write_text(f"{bystander.pid}\n{tmp_path}/postgres\n")
    server = await embedded.start(tmp_path)
    assert bystander.poll() is None
    await server.stop()
    bystander.kill()
    bystander.wait()


async def test_a_path_too_long_for_a_socket_is_served_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20) / ("path" * 10)
    folder.mkdir(parents=True)
    async with embedded.attached(folder) as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with embedded.locked(tmp_path), pytest.raises(embedded.DataDirectoryBusy), embedded.locked(tmp_path):
        pass
    with embedded.locked(tmp_path):
        pass


async def test_a_command_beside_a_running_hub_uses_its_database(tmp_path: Path) -> None:
    async with embedded.attached(tmp_path), embedded.attached(tmp_path) as second:
        connection = await asyncpg.connect(second)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


async def test_a_server_that_dies_is_started_again(tmp_path: Path) -> None:
    async with embedded.kept(tmp_path) as keep:
        keeping = asyncio.create_task(keep())
        await asyncio.sleep(0)
        pid = int((tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 30
        while True:
            assert time.monotonic() < until
            try:
                connection = await asyncpg.connect(embedded.dsn(tmp_path), timeout=2)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.1)
                continue
            if int((tmp_path / "postgres" / "postmaster.pid").read_text().splitlines()[0]) != pid:
                break
            await connection.close()
        await connection.close()
        keeping.cancel()


async def test_a_broken_data_directory_is_a_clear_fault(tmp_path: Path) -> None:
    server = await embedded.start(tmp_path)
    await server.stop()
    (tmp_path / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(embedded.DatabaseUnavailable, match=r"postgres\.log"):
        await embedded.start(tmp_path)
