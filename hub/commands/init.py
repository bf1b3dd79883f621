"""`xieban init`: a new hub's configuration and data directory, from four answers."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hub import config as configuration
from hub import processes
from hub.commands.explaining import words
from hub.commands.faults import AlreadyThere, InputUnreadable, UsageFault
from hub.commands.help_text import examples
from hub.commands.output import remark, say
from hub.config import Config as Settings
from keys.errors import Fault
from protocols.departments import is_hub, organisation_id
from protocols.divisions import division

EXAMPLES = examples(
    "xieban init",
    "xieban init --id 410000-hub --name 河南省协办枢纽 --data hub-data --database ''",
    "xieban init --config /etc/xieban/config.toml --data /var/lib/xieban",
)
_SETTING = re.compile(r"(?:# )?([a-z_]+) = ")
_LONGEST = 60
UNFINISHED = "init-unfinished"
"""A file in the data directory until the configuration is there: a second run goes on with such a directory."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked where no option says it: what a good answer is, and what stands there until somebody says else."""

    option: str
    text: str
    good: Callable[[str], str]
    default: str

    def answer(self, given: str | None) -> str:
        """The answer given, else the one that somebody types. Raises UsageFault, Fault."""
        if given is not None:
            return self.good(given)
        if not sys.stdin.isatty():
            raise UsageFault(f"{self.option} is not given, and there is nobody to ask")
        return str(typer.prompt(self.text, self.default, value_proc=self._typed, show_default=bool(self.default)))

    def _typed(self, text: str) -> str:
        try:
            return self.good(text)
        except Fault as fault:
            raise typer.BadParameter(words(fault)) from fault


def init(
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="枢纽编号：区划代码-hub。 Its division, -hub."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="中文名称。 Its name in Chinese.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="DIR", help="数据目录，须为空或尚无。 Empty, or not there yet.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="自有的 PostgreSQL；'' 为内置。 One of your own; '': embedded."),
    ] = None,
    name_en: Annotated[
        str | None, typer.Option("--name-en", metavar="NAME", help="英文名称。 Its name in English.")
    ] = None,
    config: Annotated[
        Path,
        typer.Option("--config", metavar="FILE", help="配置写到哪里，不会覆盖。 Where to write it; never over one."),
    ] = Path("config.toml"),
) -> None:
    """问四个问题，写出带注释的 config.toml，建好数据目录和数据库。 Four questions, and a hub is ready to be served.

    给全四个选项就不再提问。已有的文件和目录一概不动；中断后再次执行即接着做。

    With all four options nothing is asked. What is there already is never touched; one that was broken off goes on.
    """
    _absent(config)
    hub = Question("--id", "枢纽编号 · the hub's id", _hub_id, "410000-hub").answer(id)
    place = _place(hub)
    zh = Question("--name", "中文名称 · its name in Chinese", _one_line, f"{place}协办枢纽").answer(name)
    en = _one_line(name_en or f"{_romanised(place)} collaboration hub")
    where = Path(Question("--data", "数据目录 · its data directory", _empty, "hub-data").answer(data))
    asked = "自有 PostgreSQL 的地址，回车为内置 · URL of a PostgreSQL of your own, else the embedded one"
    url = Question("--database", asked, _reachable, "").answer(database)
    said: dict[str, dict[str, str]] = {"hub": {"id": hub, "name_zh": zh, "name_en": en}}
    if url:
        said["database"] = {"url": url}
    text = "".join(filled(configuration.shipped(), said))
    settings = configuration.parse(text)
    try:
        with _written(config, text):
            asyncio.run(_prepared(where.resolve(), settings))
    except KeyboardInterrupt:
        remark("已中断，再次执行同一 xieban init 即接着做 · interrupted; the same xieban init goes on where it was")
        raise
    (where / UNFINISHED).unlink()
    say(f"已就绪 · ready: {config} · {where}")
    for command in ("doctor", "serve"):
        say(f"  {shlex.join(['xieban', command, '--data', str(where), '--config', str(config)])}")


def filled(text: str, said: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The lines of a configuration with these settings in their sections; one that is a comment becomes a setting."""
    section, left = "", {(name, key) for name, settings in said.items() for key in settings}
    for line in text.splitlines(keepends=True):
        if line.startswith("["):
            section = line.strip("[]\n")
        setting = _SETTING.match(line)
        if setting and (place := (section, setting[1])) in left:
            left.remove(place)
            yield f"{setting[1]} = {json.dumps(said[section][setting[1]], ensure_ascii=False)}\n"
        else:
            yield line
    assert not left, f"the shipped configuration has no {left}"


async def _prepared(data: Path, settings: Settings) -> None:
    """What the first start of a hub would make, so that what is wrong with it is said now."""
    os.umask(0o077)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data / UNFINISHED).touch()
    # What a first start notes of itself is for a service's log, not for somebody who answers questions.
    async with processes.database(data, settings, "error") as dsn:
        await processes.prepare(data, dsn, settings)


# Answers --------------------------------------------------------------------------------------------------------


def _hub_id(text: str) -> str:
    code, _, department = text.strip().partition("-")
    if not (code.isascii() and code.isdigit() and department):
        raise UsageFault("the id of a hub is its division's code and -hub, as in 410000-hub")
    id = organisation_id(code, department)
    if not is_hub(id):
        raise UsageFault(f"the id of a hub is its division's code and -hub, as in {code}-hub")
    return id


def _place(hub: str) -> str:
    return division(hub[:6]).name


def _romanised(place: str) -> str:
    from pypinyin import lazy_pinyin

    known_as = place[:-1] if place[-1] in "省市县区" and len(place) > 2 else place
    return "".join(lazy_pinyin(known_as)).capitalize()


def _one_line(text: str) -> str:
    name = text.strip()
    if not 0 < len(name) <= _LONGEST or not name.isprintable():
        raise UsageFault(f"a name is one line of at most {_LONGEST} characters")
    return name


def _empty(text: str) -> str:
    folder = Path(text)
    try:
        if not text or (folder.exists() and any(folder.iterdir()) and not (folder / UNFINISHED).exists()):
            raise AlreadyThere(f"{folder} is not empty; xieban serve --data {folder} goes on with a hub that is there")
    except OSError as error:
        raise InputUnreadable(f"{folder}: {error.strerror}") from error
    return text


def _reachable(url: str) -> str:
    """Raises DatabaseUnavailable."""

    async def tried() -> None:
        async with processes.connected(url):
            pass

    if url:
        asyncio.run(tried())
    return url


# The file -------------------------------------------------------------------------------------------------------


def _absent(config: Path) -> None:
    if config.exists() or config.is_symlink():
        raise AlreadyThere(f"{config} is there; choose another --config")


@contextlib.contextmanager
def _written(config: Path, text: str) -> Iterator[None]:
    """The file, once what is done meanwhile is done; for its owner alone: it may name a database with its password."""
    partial = config.with_name(f".{config.name}.unfinished")
    with contextlib.ExitStack() as undone:
        try:
            config.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            with open(partial, "x", encoding="utf-8", opener=_private) as file:
                undone.callback(partial.unlink)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputUnreadable(f"{config} can't be written: {error.strerror}") from error
        yield
        _absent(config)
        partial.rename(config)
        undone.pop_all()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
