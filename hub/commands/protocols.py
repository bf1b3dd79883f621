"""`xieban protocols`: the catalogue checked, listed, and its messages shown with examples."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hub.commands.faults import InputUnreadable, UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Json
from hub.commands.output import as_json, pretty, say, table
from protocols import bundling, checking, loading
from protocols.loading import MessageType, Protocol

app = typer.Typer(no_args_is_help=True, help="协作协议。 The protocols of collaboration.")


@app.command(epilog=examples("xieban protocols check"))
def check() -> None:
    """检查协议目录是否前后一致。 Check that every protocol of the catalogue holds together."""
    found = checking.require(loading.catalogue())
    for name, version in found.protocols:
        say(f"✓ {name} {version}")


@app.command("list", epilog=examples("xieban protocols list", "xieban protocols list --json"))
def list_(json: Json = False) -> None:
    """列出协议。 List the protocols with their messages."""
    found = [_described(protocol) for protocol in loading.catalogue().protocols.values()]
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
        known = ", ".join(protocol.messages)
        raise InputUnreadable(f"{protocol.name} has no message {name}; it has: {known}")
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


def _values(field: Mapping[str, Any]) -> str:
    """What may stand in a field, shortly."""
    choices = [str(choice["const"]) for choice in field.get("oneOf", []) if "const" in choice]
    return ", ".join(choices) or str(field.get("type", ""))


def _protocol(name: str, version: str | None) -> Protocol:
    catalogue = loading.catalogue()
    found = catalogue.latest(name) if version is None else catalogue.protocol(name, version)
    if found is None:
        known = ", ".join(f"{one} {of}" for one, of in catalogue.protocols)
        raise InputUnreadable(f"no protocol {name} {version or ''} here; there are: {known}")
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
