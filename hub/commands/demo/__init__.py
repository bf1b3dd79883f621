"""`xieban demo`: bureaus of two regions work hundreds of cases through a real hub, killed once on the way."""

import asyncio
import contextlib
import json
import random
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from adapters.client import Client, Cursor, Patience, Sent
from hub import journal
from hub.commands.demo import proof, stories, turnaround
from hub.commands.demo.board import Board
from hub.commands.demo.bureau import Assignment, Bureau
from hub.commands.demo.cast import BUREAUS, SUPERVISOR, Belongings, Member
from hub.commands.demo.hub_process import HubNotRunning, HubProcess
from hub.commands.demo.screen import Screen
from hub.processes import unbound
from keys import jwk
from keys.jwk import VerifyingKey
from keys.keystore import KeyStore

PATIENCE = Patience(within=120.0, longest=1.0)
"""A bureau goes on asking while the hub is away; it is away for some seconds only."""
SEED = 2026
LOOKS_ON = "demo.supervisor"
FACE = "411002-health"
"""The bureau whose address is shown at the end."""


def run(data: Path | None, port: int, cases: int, stop_at_end: bool, picture: Path | None = None) -> None:
    """Run the demo on `data`, or on a directory that is gone afterwards; leaves the hub in the foreground unless
    `stop_at_end`. Whatever ends it, no process is left behind.

    Raises PortInUse, NotTheDemosDirectory, HubNotRunning, NotProven, and what the SDK raises.
    """
    journal.configure()
    _require_port(port)
    screen = Screen()
    with contextlib.ExitStack() as stack:
        folder = data or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="xieban-", ignore_cleanup_errors=True))
        )
        try:
            asyncio.run(_play(screen, folder, port, cases, stop_at_end, picture))
        except (KeyboardInterrupt, asyncio.CancelledError):
            screen.say("已中断，枢纽已停止 · interrupted, the hub is stopped", record=False)
            raise SystemExit(130) from None


def _require_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise unbound("127.0.0.1", port, error) from None


async def _play(screen: Screen, data: Path, port: int, cases: int, stop_at_end: bool, picture: Path | None) -> None:
    """The demo from its first line to its last."""
    data.mkdir(parents=True, exist_ok=True)
    belongings = Belongings(data)
    async with HubProcess(data, port) as hub:
        screen.say("[bold]协办演示 · xieban demo[/]")
        members = await _enrolled(screen, hub, belongings)
        board, hub_keys = Board(cases), _hub_keys(data)
        async with contextlib.AsyncExitStack() as stack:
            bureaus = await _bureaus(stack, hub, members, hub_keys, belongings, board)
            began = time.monotonic()
            await _work(screen, hub, board, bureaus, cases)
            _report_counts(screen, board, time.monotonic() - began)
            kept = await proof.still_there(bureaus, board.receipts)
        _report_proof(screen, kept, board.receipts)
        proven = proof.offline(board.receipts, hub_keys)
        screen.say(
            f"离线验证 offline: {len(proven)} 份回执全部有效 · receipts, all valid by the hub's public key alone"
        )
        audited = " · ".join((await hub.run("audit", "--data", str(data))).strip().splitlines())
        screen.say(f"审计 xieban audit: {audited}")
        screen.say(turnaround.table(turnaround.courses(proven, board.ended)))
        _keep_one(belongings, board, hub_keys)
        if picture is not None:
            screen.draw(picture)
        if not stop_at_end:
            await _stay(screen, hub, belongings)


async def _enrolled(screen: Screen, hub: HubProcess, belongings: Belongings) -> list[Member]:
    """The hub started, while the keys are made; then the whole country enrolled."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        making = tasks.create_task(belongings.members())
        tasks.create_task(hub.start())
    members = making.result()
    path, size = belongings.write_directory(members)
    await hub.run("organisations", "import", str(path), "--data", str(hub.data))
    screen.say(
        f"枢纽 hub: {hub.url}，目录 directory: {size} 个机构 organisations，其中 {len(members)} 个持有密钥 with keys"
        f" ({time.monotonic() - began:.1f} s)"
    )
    return list(members.values())


def _hub_keys(data: Path) -> list[VerifyingKey]:
    """The hub's public keys from its own directory: its bureaus need not believe the hub about them."""
    return [key for key in KeyStore(data / "keys").public_keys() if isinstance(key, VerifyingKey)]


async def _bureaus(
    stack: contextlib.AsyncExitStack,
    hub: HubProcess,
    members: Sequence[Member],
    hub_keys: Sequence[VerifyingKey],
    belongings: Belongings,
    board: Board,
) -> list[Bureau]:
    """Every bureau with keys, connected to the hub for as long as the `stack` is."""
    made = []
    for side in BUREAUS.values():
        for member in (member for member in members if member.id in side):
            client = Client(hub.url, member.id, member.signing, [member.sealing], hub_keys=hub_keys, patience=PATIENCE)
            await stack.enter_async_context(client)
            cursor, neighbours = Cursor(belongings.cursor_of(member.id)), [name for name in side if name != member.id]
            made.append(Bureau(client, cursor, neighbours, board))
    return made


async def _work(screen: Screen, hub: HubProcess, board: Board, bureaus: Sequence[Bureau], cases: int) -> None:
    """Every bureau at work until every case has ended and every message is read; the hub killed on the way."""
    assignments = _assignments(cases)
    async with screen.counting(board), asyncio.TaskGroup() as tasks:
        for bureau in bureaus:
            tasks.create_task(bureau.open(assignments.get(bureau.id, ())))
        serving = [tasks.create_task(bureau.serve()) for bureau in bureaus]
        dying = tasks.create_task(_unexpected_end(hub))
        await board.until(lambda board: len(board.ended) >= cases // 2)
        dying.cancel()
        await _kill(screen, hub, board, bureaus)
        dying = tasks.create_task(_unexpected_end(hub))
        await board.until(Board.everything_done)
        for task in (*serving, dying):
            task.cancel()


def _assignments(cases: int) -> dict[str, list[Assignment]]:
    """Who opens what with whom: every story in both directions, between regions drawn at random."""
    chance, told = random.Random(SEED), stories.stories()
    found: dict[str, list[Assignment]] = {}
    for number in range(cases):
        pair = chance.choice(BUREAUS["home"]), chance.choice(BUREAUS["away"])
        opener, responder = pair if number % 2 else pair[::-1]
        story = told[number // 2 % len(told)]
        found.setdefault(opener, []).append(Assignment(responder, story, number + 1))
    return found


async def _kill(screen: Screen, hub: HubProcess, board: Board, bureaus: Sequence[Bureau]) -> None:
    """The hub killed and started again, then everything that it handed out before looked for."""
    await hub.kill()
    before, began = list(board.receipts), time.monotonic()
    screen.say(
        f"[bold red]SIGKILL[/] 强行终止枢纽：已办结 {len(board.ended)} 件，已发回执 {len(before)} 份"
        " · the hub is killed: cases ended, receipts handed out so far"
    )
    await hub.start()
    away = time.monotonic() - began
    kept = await proof.still_there(bureaus, before)
    screen.say(
        f"重启 {away:.1f} 秒，各机构自行接续；此前 {kept.receipts} 份回执的消息都在原位，"
        f"{kept.mailboxes} 个收件箱 {kept.positions} 个位置无缺号、无重复\n"
        f"  restarted in {away:.1f} s, the bureaus carry on; the messages of all {kept.receipts} receipts are where"
        " they were, no gap in any mailbox, nothing twice"
    )


async def _unexpected_end(hub: HubProcess) -> None:
    status = await hub.wait()
    raise HubNotRunning(f"the hub ended with status {status}; see {hub.data / 'hub.log'}")


def _report_counts(screen: Screen, board: Board, seconds: float) -> None:
    declined, messages = list(board.ended.values()).count("declined"), len(board.receipts)
    screen.say(
        f"案件 cases {board.cases} = 办结 closed {board.cases - declined} + 不予协查 declined {declined}；"
        f"消息 messages {messages}，{seconds:.1f} 秒 s，每秒 per second {messages / seconds:.0f}"
    )
    if board.carried_on:
        screen.say(f"另接续办理上次中断的案件 · cases of an interrupted run carried on: {len(board.carried_on)}")


def _report_proof(screen: Screen, kept: proof.Kept, receipts: Sequence[Sent]) -> None:
    screen.say(
        f"收件箱 mailboxes: {kept.mailboxes} 个 {kept.positions} 个位置，{len(receipts)} 份回执逐一核对"
        " · every receipt's message found at its positions, no gap, nothing twice"
    )


def _keep_one(belongings: Belongings, board: Board, hub_keys: Sequence[VerifyingKey]) -> None:
    """One receipt with its message and the hub's keys as files, for `xieban verify`."""
    sent = next((s for s in board.receipts if board.ended[s.case] == "closed"), board.receipts[0])
    (belongings.folder / "receipt.json").write_bytes(msgspec.json.encode(sent.receipt))
    (belongings.folder / "message.jose").write_bytes(sent.compact)
    (belongings.folder / "hub.jwks").write_text(json.dumps(jwk.public_jwks(hub_keys), indent=1))


async def _stay(screen: Screen, hub: HubProcess, belongings: Belongings) -> None:
    """The hub in the foreground, with what to try next; returns on Ctrl-C."""
    xieban, data = _short(Path(sys.executable).parent / "xieban"), _short(hub.data)
    kept = f"{data}/{belongings.folder.name}"
    speaker = ["--as", SUPERVISOR, "--keys", f"{kept}/keys/{SUPERVISOR}", "--passphrase-file", f"{kept}/passphrase"]
    commands = (
        ["case", "list", "--limit", "20", "--hub", hub.url, *speaker],
        ["verify", f"{kept}/receipt.json", "--message", f"{kept}/message.jose", "--key", f"{kept}/hub.jwks"],
        ["audit", "--data", data],
    )
    link = await _console_link(hub)
    screen.say(
        f"枢纽仍在运行 · the hub goes on running: {hub.url}/v1/organisations/{FACE}\n"
        f"督导台（一次性登录链接） · the console, by a link good once: {link}\n"
        "按 Ctrl-C 停止。接下来可以试 · Ctrl-C stops it; try next:",
        record=False,
    )
    for command in commands:
        screen.say("  " + shlex.join([xieban, *command]), record=False)
    with contextlib.suppress(asyncio.CancelledError):
        await _unexpected_end(hub)


async def _console_link(hub: HubProcess) -> str:
    """A link by which the supervisor of the demo's home enters the console; its account is made the first time."""
    where, who = (
        ("--data", str(hub.data), "--url", hub.url),
        ("--organisation", SUPERVISOR, "--full-name", "演示督导员"),
    )
    with contextlib.suppress(HubNotRunning):  # an earlier demo on this directory made it
        await hub.run("people", "invite", LOOKS_ON, *who, *where)
    return (await hub.run("people", "link", LOOKS_ON, *where)).strip()


def _short(path: Path) -> str:
    """The path from here where it lies below, else in full."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
