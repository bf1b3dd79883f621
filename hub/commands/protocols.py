"""`xieban protocols`: the catalogue checked, listed, and its messages shown with examples."""

import dataclasses
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.commands.faults import AlreadyThere, InputUnreadable, UsageFault
from hub.commands.help_text import examples
from hub.commands.known import known
from hub.commands.options import PROTOCOLS, Json
from hub.commands.output import as_json, pretty, remark, say, table
from protocols import beginning, bundling, checking, comparing, documents, loading
from protocols.loading import Catalogue, MessageType, Protocol

app = typer.Typer(no_args_is_help=True, help="协作协议。 The protocols of collaboration.")


@app.command(epilog=examples("xieban protocols check", "xieban protocols check ./my-protocol/1.0"))
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="一个协议或者目录的文件夹，默认随附目录。 Else what is shipped."),
    ] = None,
) -> None:
    """检查协议是否前后一致。 Check that protocols hold together: flows, schemas, examples, words.

    文件夹可以是一个版本（含 flow.toml）、一个协议，或者整个目录。

    A folder is one version (with flow.toml), a protocol, or a whole catalogue.
    """
    found = checking.require(_loaded(folder or loading.FOLDER))
    if folder is None:
        remark("这是随附的目录，自己的协议请给出文件夹 · what is shipped; for protocols of yours name their folder")
    for (name, version), protocol in found.protocols.items():
        say(f"✓ {name} {version}")
        if beginning.unsaid(protocol.flow):
            remark("  summary 还是模板的：请写明用途 · it is still the template's: say what the protocol is for")


@app.command(
    epilog=examples(
        "xieban protocols new shared-patrol --zh 联合巡查 --en 'Shared patrol'",
        "xieban protocols check shared-patrol",
    )
)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="名称，如 shared-patrol。 Its name.")],
    zh: Annotated[str, typer.Option(help="中文名称。 Its Chinese title.")] = "新协议",
    en: Annotated[str, typer.Option(help="英文名称。 Its English title.")] = "New protocol",
    to: Annotated[Path, typer.Option(metavar="DIR", help="放在哪个文件夹。 Where to put it.")] = Path(),
) -> None:
    """新建一个能通过检查的协议文件夹。 Make a folder for a new protocol that checks, with comments that explain it."""
    made = beginning.begin(name, zh, en, to)
    checking.require(Catalogue([loading.read_protocol(made)]))
    say(f"已建立 · made: {made}")
    say(f"改好后 · when changed: xieban protocols check {made}")
    say(f"让命令认识它 · for commands to know it: export {PROTOCOLS}={shlex.quote(str(to.resolve()))}")
    say(f'枢纽 · the hub, in config.toml: [protocols] besides = "{to.resolve()}"')


@app.command(epilog=examples("xieban protocols copy catalogue", "xieban protocols new shared-patrol --to catalogue"))
def copy(to: Annotated[Path, typer.Argument(metavar="DIR", help="新文件夹。 A new folder.")]) -> None:
    """把随附的协议目录抄到新文件夹，供增加协议。 Copy the shipped catalogue, to add protocols to it."""
    try:
        shutil.copytree(loading.FOLDER, to)
    except FileExistsError as error:
        raise AlreadyThere(f"{to} is there already; nothing was changed") from error
    say(f"已抄 · copied: {to}")
    say(f'config.toml: [protocols] folder = "{to.resolve()}"')


@app.command(
    epilog=examples(
        "xieban protocols diff case-assistance 1.0 1.1",
        "xieban protocols diff ./errand/1.0 ./errand/1.1",
        "xieban protocols diff case-assistance 1.0 1.1 --json | jq '.differences[] | select(.breaks)'",
    )
)
def diff(
    places: Annotated[
        list[str],
        typer.Argument(metavar="PROTOCOL OLD NEW | OLD_FOLDER NEW_FOLDER", help="两个版本。 The two versions."),
    ],
    json: Json = False,
) -> None:
    """比较两个版本，说明影响谁。 Compare two versions of a protocol, and say for whom something breaks.

    状态码 0：按旧版工作的机构可以照旧；1：有机构受影响。

    senders：以前收下的现在会被拒绝；readers：会收到以前没有的内容。

    Status 0 where those who know the old version can go on as they are, 1 where something breaks.
    """
    old, new = _versions(places)
    found = comparing.differences(old, new)
    broken = [one for one in found if one.breaks]
    if json:
        as_json({"compatible": not broken, "differences": [dataclasses.asdict(one) for one in found]})
    elif found:
        columns = ("何处 where", "原 old", "新 new", "影响 breaks")
        table(columns, ((one.where, one.old, one.new, _BREAKS[one.breaks]) for one in found))
    if not json:
        say("兼容 · compatible" if not broken else f"{len(broken)} 处不兼容 · of {len(found)} changes break something")
    if broken:
        raise typer.Exit(1)


@app.command(epilog=examples("xieban protocols document --to docs/protocols"))
def document(
    to: Annotated[Path, typer.Option(metavar="DIR", help="写到哪里。 Where to write them.")],
    folder: Annotated[
        Path | None, typer.Option("--catalogue", metavar="FOLDER", help="另一个目录。 Another catalogue.")
    ] = None,
) -> None:
    """由协议数据生成说明与流程图。 Write a page and a picture of each protocol, and a page of each message."""
    found = checking.require(_loaded(folder or loading.FOLDER))
    say(f"已写 · written: {documents.write(found, to)} → {to}")


@app.command("list", epilog=examples("xieban protocols list", "xieban protocols list --json"))
def list_(json: Json = False) -> None:
    """列出协议。 List the protocols with their messages."""
    found = [_described(protocol) for protocol in known().protocols.values()]
    if json:
        as_json({"items": found})
        return
    columns = ("协议 protocol", "版本 version", "名称 title", "消息 messages")
    rows = (
        (one["name"], one["version"], _both(one["title"]), ", ".join(m["name"] for m in one["messages"]))
        for one in found
    )
    table(columns, rows)


@app.command(
    epilog=examples(
        "xieban protocols show case-assistance",
        "xieban protocols show case-assistance request",
        "xieban protocols show case-assistance request --example > data.json",
        "xieban protocols show case-assistance request --sealed --example > sealed.json",
    )
)
def show(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help="协议，如 case-assistance。 The protocol.")],
    message: Annotated[
        str | None, typer.Argument(metavar="[MESSAGE]", help="消息，如 request。 One of its messages.")
    ] = None,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="看密封部分。 The sealed part instead of the open one.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="只输出一个样例 JSON。 Only an example, as JSON.")] = False,
    version: Annotated[str | None, typer.Option(help="版本，默认最新。 The version, else the latest.")] = None,
    json: Json = False,
) -> None:
    """查看协议的状态与消息，或一条消息的字段与样例。 Show a protocol, or a message's fields and examples."""
    found = _protocol(protocol, version)
    if message is not None:
        _show_message(found, message, sealed, example, json)
        return
    if sealed or example:
        raise UsageFault("--sealed and --example are about one message: name it")
    if json:
        as_json(_described(found))
        return
    say(f"{found.name} {found.version}  {found.flow.title.zh} · {found.flow.title.en}")
    say(f"{found.flow.summary.zh} {found.flow.summary.en}\n")
    states = found.flow.states.items()
    stations = ((n, f"{s.zh} {s.en}", ", ".join(s.owners) or "—") for n, s in states)
    table(("状态 state", "名称 title", "待办 acts next"), stations)
    say("")
    rows = (
        (m["name"], _both(m["title"]), m["sealed"], "✓" if m["opens"] else "") for m in _described(found)["messages"]
    )
    table(("消息 message", "名称 title", "密封 sealed", "发起 opens"), rows)


def _show_message(protocol: Protocol, name: str, sealed: bool, example: bool, json: bool) -> None:
    message = protocol.messages.get(name)
    if message is None:
        listed = ", ".join(protocol.messages)
        raise InputUnreadable(f"{protocol.name} has no message {name}; it has: {listed}")
    document = _schema(message, sealed)
    if example:
        as_json(document["examples"][0])
    elif json:
        as_json(document)
    else:
        _print_schema(protocol, message, document)


def _schema(message: MessageType, sealed: bool) -> dict[str, Any]:
    schema = message.sealed_schema if sealed else message.schema
    if schema is None:
        raise InputUnreadable(f"{message.name} has no sealed part")
    return schema.document


def _print_schema(protocol: Protocol, message: MessageType, document: dict[str, Any]) -> None:
    say(f"{protocol.name}.{message.name} {protocol.version}  {document.get('title')} · {document.get('x-title-en')}")
    say(f"{document.get('description', '')}\n{document.get('x-description-en', '')}")
    say(f"密封 sealed: {message.declared.sealed}\n")
    required = document.get("required", [])
    fields = [
        (name, bundling.resolve(document, field))
        for name, field in document.get("properties", {}).items()
        if name not in ("sealed", "sealed_digest")
    ]
    table(
        ("字段 field", "名称 title", "必填 required", "取值 values"),
        (
            (
                name,
                f"{field.get('title', '')} {field.get('x-title-en', '')}",
                "✓" if name in required else "",
                _values(field),
            )
            for name, field in fields
        ),
    )
    say(f"\n样例 · example\n{pretty(document['examples'][0])}")


_BREAKS = {None: "", "senders": "发送方 senders", "readers": "接收方 readers", "both": "双方 both"}


def _loaded(folder: Path) -> Catalogue:
    """A version's folder, a protocol's, or a catalogue. Raises CatalogueInvalid."""
    if (folder / "flow.toml").exists():
        return Catalogue([loading.read_protocol(folder)])
    versions = sorted(folder.glob("*/flow.toml"))
    return Catalogue(loading.read_protocol(file.parent) for file in versions) if versions else loading.load(folder)


def _versions(places: list[str]) -> tuple[Protocol, Protocol]:
    if len(places) == 3:
        return _protocol(places[0], places[1]), _protocol(places[0], places[2])
    if len(places) == 2:
        old, new = (loading.read_protocol(Path(place)) for place in places)
        return old, new
    raise UsageFault("name a protocol and two versions of it, or two folders")


def _values(field: Mapping[str, Any]) -> str:
    """What may stand in a field, shortly."""
    choices = [str(choice["const"]) for choice in field.get("oneOf", []) if "const" in choice]
    return ", ".join(choices) or str(field.get("type", ""))


def _protocol(name: str, version: str | None) -> Protocol:
    catalogue = known()
    found = catalogue.latest(name) if version is None else catalogue.protocol(name, version)
    if found is None:
        listed = ", ".join(f"{one} {of}" for one, of in catalogue.protocols)
        wanted = f"{name} {version}" if version else name
        raise InputUnreadable(f"no protocol {wanted} here; there are: {listed}; in {PROTOCOLS} name a folder of yours")
    return found


def _described(protocol: Protocol) -> dict[str, Any]:
    flow = protocol.flow
    return {
        "name": protocol.name,
        "version": protocol.version,
        "title": {"zh": flow.title.zh, "en": flow.title.en},
        "summary": {"zh": flow.summary.zh, "en": flow.summary.en},
        "states": {
            name: {"title": {"zh": state.zh, "en": state.en}, "owners": list(state.owners), "final": state.final}
            for name, state in flow.states.items()
        },
        "messages": [
            {
                "name": message.name,
                "type": f"{protocol.name}.{message.name}",
                "title": {"zh": message.declared.zh, "en": message.declared.en},
                "sealed": message.declared.sealed,
                "opens": message.name in flow.opening,
            }
            for message in protocol.messages.values()
        ],
    }


def _both(title: dict[str, str]) -> str:
    return f"{title['zh']} {title['en']}"
