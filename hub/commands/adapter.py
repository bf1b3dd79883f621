"""`xieban adapter`: a partner's way in, run and looked after."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from adapters.running import checking, health, kinds, process
from adapters.running.configuration import Section, section, sections
from adapters.running.dead_letters import DeadLetter, DeadLetters
from adapters.running.store import Store
from hub import config as configuration
from hub import journal, telemetry
from hub.commands.explaining import chinese, words
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Json
from hub.commands.output import as_json, ready, remark, say, table
from hub.commands.partner import passphrase_of
from keys.errors import KeyStoreFault
from keys.keystore import VARIABLE, read_passphrase

app = typer.Typer(
    no_args_is_help=True,
    help="适配器：让各地已有的系统照原样接入。 Adapters: partners connect as they are.",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="config.toml 中的 \\[adapters.NAME]。 Its section.")]
File = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="config.toml，其中有 \\[adapters.NAME]。 The configuration.")
]
FILE = Path("config.toml")


@app.command(
    epilog=examples(
        "xieban adapter run exchange --config config.toml",
        "XIEBAN_PASSPHRASE=secret xieban adapter run henan --config /etc/xieban/config.toml",
    )
)
def run(name: Name, config: File = FILE) -> None:
    """运行一个适配器，直到被停止。 Run an adapter until it is stopped.

    只经枢纽的公开接口工作；中断后从原处继续，不丢不重。

    It reaches the hub by its public API alone, and goes on where it was after any crash, without loss or doubles.
    """
    journal.configure(adapter=name)
    found = section(config, name)
    passphrase = passphrase_of(found.common.passphrase_file)
    with telemetry.traced(configuration.load(config).telemetry, "xieban-adapter", name):
        asyncio.run(
            process.run(found, passphrase, lambda address: ready(f"适配器已运行 · adapter running: {name} {address}"))
        )


@app.command(
    epilog=examples(
        "xieban adapter status --config config.toml", "xieban adapter status exchange --config config.toml --json"
    )
)
def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="只看这一个。 Only this one.")] = None,
    config: File = FILE,
    json: Json = False,
) -> None:
    """各适配器是否运行、积压多少、在等谁；有不正常的以状态码 1 退出。 How they do; status 1 where one is not well."""
    known = sections(config)
    if name is not None:
        known = {name: section(config, name)}
    seen = [_looked(one) for one in known.values()]
    if json:
        as_json([msgspec.to_builtins(one) | {"well": one.well} for one in seen])
    else:
        columns = (
            "适配器 adapter",
            "运行 running",
            "待交付 down",
            "待送 up",
            "已送 taken",
            "死信 dead",
            "等待 waiting",
        )
        table(columns, ((one.name, "是 yes" if one.running else "否 NO", one.down, one.up, one.taken, one.dead,
                         "；".join(f"{way.way} {way.seconds:.0f}s: {way.why[:60]}" for way in one.waiting))
                        for one in seen))  # fmt: skip
    if not all(one.well for one in seen):
        raise typer.Exit(1)


@app.command(
    "dead-letters",
    epilog=examples("xieban adapter dead-letters exchange --config config.toml"),
)
def dead_letters(name: Name, config: File = FILE, json: Json = False) -> None:
    """列出死信：哪一方为什么不收。 What was rejected, and why."""
    letters = DeadLetters(section(config, name).common.store / "dead")
    found = letters.all() if letters.folder.exists() else {}
    if json:
        as_json([{"name": key, "way": one.way, "reason": one.reason, "at": one.at, "type": one.type, "case": one.case}
                 for key, one in found.items()])  # fmt: skip
        return
    table(("死信 dead letter", "方向 way", "时间 at", "原因 reason"),
          ((key, one.way, one.at, one.reason) for key, one in found.items()))  # fmt: skip
    if found:
        remark(f"{letters.folder}；xieban adapter retry {name} NAME…")


@app.command(
    epilog=examples(
        "xieban adapter retry exchange --all --config config.toml",
        "xieban adapter retry exchange up-0001 --config config.toml",
    )
)
def retry(
    name: Name,
    letters: Annotated[list[str] | None, typer.Argument(metavar="LETTER", help="死信。 Which dead letters.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="全部死信。 All of them.")] = False,
    config: File = FILE,
) -> None:
    """再试死信；运行中的适配器随即处理。 Try dead letters again; a running adapter takes them up at once."""
    found = section(config, name)
    dead, store = DeadLetters(found.common.store / "dead"), Store(found.common.store)
    chosen = list(dead.all()) if everything else list(letters or ())
    if not chosen and not everything:
        raise UsageFault("name the dead letters, or --all; see xieban adapter dead-letters")
    for one in chosen:
        letter = dead.one(one)
        if _again(store, letter):
            dead.drop(one)
            say(f"再试 · again: {one}")
        else:
            remark(f"无法再试，原件未通过核对 · can't be tried again, it never stood up to its check: {one}")


@app.command(epilog=examples("xieban adapter reset exchange --config config.toml"))
def reset(
    name: Name,
    way: Annotated[str | None, typer.Option(metavar="WAY", help="只重置这一路，见 status。 Only this way.")] = None,
    config: File = FILE,
) -> None:
    """不再等待，立即重试。 Stop waiting for a side that was away: try again at once."""
    count = Store(section(config, name).common.store).reset(way)
    say(f"已重置 {count} 路 · ways reset: {count}")


@app.command(epilog=examples("xieban adapter check henan --config config.toml"))
def check(name: Name, config: File = FILE) -> None:
    """检查配置、映射、密钥和口令；有问题的以状态码 1 退出。 Check a section; status 1 where something is wrong.

    映射的示例逐一运行。有口令的，试开密钥，并问枢纽是否认这些密钥；枢纽不应答只作提醒，不连接伙伴。

    The examples of a mapping are run. With a passphrase the keys are opened, and the hub is asked whether it takes
    them; one that does not answer is a warning. The partner is not called.
    """
    looked = section(config, name)
    found = [f"{chinese('adapter-config-invalid')} · adapter-config-invalid: {one}" for one in kinds.check(looked)]
    passphrase = _given(looked, found)
    found += [words(fault) for fault in checking.here(looked, passphrase)]
    if not found and passphrase is not None:
        for fault in asyncio.run(checking.at_hub(looked, passphrase)):
            if isinstance(fault, checking.KeysNotTaken):
                found.append(words(fault))
            else:
                remark(f"枢纽没有应答，未能核对它是否认这些密钥 · the hub was not asked: {fault.detail}")
    for text in dict.fromkeys(found):
        remark(text)
    if found:
        raise typer.Exit(1)
    if passphrase is None:
        remark("没有口令，未试开密钥 · no passphrase: the keys were not opened")
    say(f"未发现问题 · nothing wrong: {name}")


def _given(looked: Section, found: list[str]) -> str | None:
    """The passphrase of a section, where there is one that can be read; why it can't is put to what was found."""
    if looked.common.passphrase_file is None and not os.environ.get(VARIABLE):
        return None
    try:
        return read_passphrase(looked.common.passphrase_file)
    except KeyStoreFault as fault:
        found.append(words(fault))
        return None


@app.command("list", epilog=examples("xieban adapter list"))
def list_(json: Json = False) -> None:
    """有哪些适配器。 Which adapters there are."""
    if json:
        as_json([{"kind": name, "zh": one.zh, "en": one.en} for name, one in kinds.KINDS.items()])
        return
    table(("种类 kind", "用途", "what for"), ((name, one.zh, one.en) for name, one in kinds.KINDS.items()))


def _looked(found: Section) -> health.Health:
    store = Store(found.common.store)
    try:
        return health.look(found.name, found.kind, store)
    finally:
        store.close()


def _again(store: Store, letter: DeadLetter) -> bool:
    """Whether the letter could be handed back to the adapter."""
    if letter.offer is not None:
        store.renew(letter.offer)
        return True
    if letter.organisation and letter.source and letter.id:
        store.want_again(letter.organisation, letter.source, letter.id)
        return True
    return False
