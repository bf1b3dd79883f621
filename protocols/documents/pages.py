"""Pages in Markdown, Chinese first and English beside: the index, a protocol, a message."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from protocols import bundling
from protocols.loading import MessageType, Protocol
from protocols.message_checks import own_part
from protocols.schemas import Schema
from protocols.table import BACK, HUB, Deadline, Flow, Move

_SEALED = {"none": ("无密封部分", "nothing is sealed"), "optional": ("可以密封", "may be sealed"),
           "required": ("必须密封", "must be sealed")}  # fmt: skip
_TO = {
    "everybody": ("密封给全部接收方和发送方", "to all recipients and the sender"),
    "recipients": (
        "只密封给接收方，发送方也不能再打开",
        "to the recipients alone: not even the sender can open it again",
    ),
    "newcomer": ("只密封给新加入的机构", "to the newcomer alone"),
}
_UNIT = {"working": ("个工作日", "working days"), "calendar": ("个自然日", "calendar days")}
_SCOPE = {
    "state": ("在此状态内", "of one state"),
    "case": ("全案", "of the whole case"),
    "message": ("每条消息", "of each message"),
    "opening": ("发起消息", "of the opening message"),
}
_NOTE = "<!-- 由协议目录生成：make documents · made from the catalogue by make documents -->\n"
_MOST_CODES = 40


def folder(protocol: Protocol) -> str:
    """The folder of a protocol's documents."""
    return f"{protocol.name}/{protocol.version}"


def index(protocols: Sequence[Protocol]) -> str:
    """All protocols, a line each."""
    rows = [
        (
            f"[`{p.name}`]({folder(p)}/README.md) {p.version}",
            p.flow.title.zh,
            p.flow.title.en,
            f"{p.flow.summary.zh}<br>{p.flow.summary.en}",
        )
        for p in protocols
    ]
    head = ("协议 · protocol", "名称", "title", "用途 · what it is for")
    return f"{_NOTE}# 协作协议 · The protocols of collaboration\n\n{_table(head, rows)}"


def protocol(protocol: Protocol) -> str:
    """A protocol: picture, roles, states, deadlines, who may send what."""
    flow = protocol.flow
    parts = [
        f"{_NOTE}# {flow.title.zh} · {flow.title.en}\n\n`{protocol.name}` {protocol.version}\n\n"
        f"{flow.summary.zh}\n{flow.summary.en}\n\n![{flow.title.zh}](flow.svg)\n",
        "## 角色 · Roles\n\n"
        + _table(("角色 · role", "名称", "title"), [(f"`{n}`", t.zh, t.en) for n, t in flow.roles.items()]),
        "## 状态 · States\n\n"
        + _table(("状态 · state", "名称", "title", "待办 · acts next", "期限 · due by"), _states(flow)),
        "## 期限 · Deadlines\n\n"
        + _table(
            ("期限 · deadline", "名称", "title", "时长 · how long", "范围 · of what"),
            [(f"`{n}`", d.zh, d.en, _length(d), _both(_SCOPE[d.scope])) for n, d in flow.deadlines.items()],
        ),
        "## 消息 · Messages\n\n"
        + _table(
            ("消息 · message", "名称", "title", "谁在何时可发 · who may send it when", "密封 · sealed"),
            _messages(protocol),
        ),
    ]
    if flow.logged:
        zh, en = (
            "非当事方的每次查看都须写明目的，并记入日志。",
            "Whoever looks and is no party says why; the log keeps it.",
        )
        parts.append(f"## 查看 · Looks\n\n{zh}\n{en}\n")
    if flow.checks:
        rows = [(f"`{name}`", check.zh, check.en) for name, check in flow.checks.items()]
        parts.append("## 核对 · Checks of the counts\n\n" + _table(("核对 · check", "内容", "what it says"), rows))
    return "\n".join(parts)


def message(protocol: Protocol, message: MessageType) -> str:
    """A message: who sends it, what it moves, its fields open and sealed, an example of each."""
    document, declared = own_part(message), message.declared
    parts = [
        f"{_NOTE}# {declared.zh} · {declared.en}\n\n`{protocol.name}.{message.name}` {protocol.version} · "
        f"[{protocol.flow.title.zh} · {protocol.flow.title.en}](README.md)\n\n"
        f"{document['description']}\n{document['x-description-en']}\n",
        "## 何时 · When\n\n" + _list(_when(protocol, message)),
        f"`dataschema`: `{message.schema.id}`\n",
        "## 开放部分 · The open part\n\n" + _fields(document),
        _example(document),
        "## 密封部分 · The sealed part\n\n" + _sealed(message),
    ]
    if message.sealed_schema is not None:
        parts += [_fields(message.sealed_schema.document), _example(message.sealed_schema.document)]
    return "\n".join(parts)


# Flows ------------------------------------------------------------------------------------------------


def _states(flow: Flow) -> Iterable[tuple[str, ...]]:
    for name, state in flow.states.items():
        owners = "、".join(f"{flow.roles[role].zh} {flow.roles[role].en}" for role in state.owners) or "终结 · final"
        due = flow.deadlines.get(state.due or "")
        yield f"`{name}`", state.zh, state.en, owners, f"{due.zh} {due.en}, {_length(due)}" if due else "—"


def _length(deadline: Deadline) -> str:
    zh, en = _UNIT[deadline.unit]
    text = f"{deadline.days}{zh} · {deadline.days} {en}"
    if deadline.shorter is not None:
        text += f"（`{deadline.shorter.field}` = `{deadline.shorter.value}`: {deadline.shorter.days}）"
    if deadline.after is not None:
        text += f"（自 `{deadline.after}` 月末起 · from the end of the month `{deadline.after}`）"
    return text


def _messages(protocol: Protocol) -> Iterable[tuple[str, ...]]:
    for one in protocol.messages.values():
        when = "<br>".join(_when(protocol, one))
        sealed = _both(_SEALED[one.declared.sealed])
        yield f"[`{one.name}`]({one.name}.md)", one.declared.zh, one.declared.en, when, sealed


def _when(protocol: Protocol, message: MessageType) -> list[str]:
    moves = [move for move in protocol.flow.moves if move.message == message.name]
    if not moves:
        return ["枢纽通知，不改变状态 · the hub's notice; it moves nothing"]
    return [_move(protocol.flow, move, message.declared.from_hub) for move in moves]


def _move(flow: Flow, move: Move, from_hub: bool) -> str:
    if move.opens:
        who = "枢纽发起 · opened by the hub" if from_hub else "发起案件 · opens a case"
        who += f"（限 only {', '.join(f'`{role}`' for role in move.of)}）" if move.of else ""
        return f"{who} → `{move.to}`"
    roles = "、".join("枢纽 hub" if role == HUB else f"{flow.roles[role].zh} {flow.roles[role].en}" for role in move.by)
    states = ", ".join(f"`{name}`" for name in move.states)
    to = "原状态 · the state before" if move.to == BACK else f"`{move.to}`" if move.to else "状态不变 · the state stays"
    text = f"{roles}: {states} → {to}"
    if move.each:
        text += "，每方一次，全部表示后转入 · each once; the last leads on"
    if move.limit is not None:
        per = ("每方", "each sender") if move.per == "sender" else ("每案", "a case")
        text += f"，{per[0]}至多 {move.limit} 次 · at most {move.limit} × {per[1]}"
    return text


# Schemas ----------------------------------------------------------------------------------------------


def _fields(document: Mapping[str, Any]) -> str:
    rows = list(_rows(document, document, ""))
    if not rows:
        return "没有字段。 No fields.\n"
    return _table(("字段 · field", "名称", "title", "必填 · required", "取值 · values"), rows)


def _rows(document: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, ...]]:
    required = schema.get("required", [])
    for name, raw in schema.get("properties", {}).items():
        field = bundling.resolve(document, raw)
        needed = "✓" if name in required else ""
        yield f"`{prefix}{name}`", field.get("title", ""), field.get("x-title-en", ""), needed, _values(document, field)
        inner, path = field, f"{prefix}{name}."
        if field.get("type") == "array":
            inner, path = bundling.resolve(document, field.get("items")), f"{prefix}{name}[]."
        if inner.get("type") == "object":
            yield from _rows(document, inner, path)


def _values(document: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    if field.get("type") == "array":
        inner = bundling.resolve(document, field.get("items"))
        bounds = f"{field.get('minItems', 0)}–{field['maxItems']} 项 · items"
        return bounds if inner.get("type") == "object" else f"{bounds}: {_values(document, inner)}"
    choices = field.get("oneOf") or [{"const": value} for value in field.get("enum", ())]
    if choices:
        shown = [f"`{c.get('const')}` {c.get('title', '')} {c.get('x-title-en', '')}".strip() for c in choices]
        more = [f"… {len(shown)}"] if len(shown) > _MOST_CODES else []
        return "<br>".join(shown[:_MOST_CODES] + more)
    kind = field.get("type", "")
    if kind in ("integer", "number"):
        return f"{field.get('minimum')} – {field.get('maximum')}"
    if kind == "string":
        if field.get("format") == "date":
            return "日期 · a date"
        if "pattern" in field:
            return f"`{field['pattern']}`".replace("|", "\\|")
        return f"文本，至多 {field.get('maxLength')} 字 · a text"
    return {"boolean": "是或否 · true or false", "object": "见下 · below"}.get(str(kind), str(kind))


def _example(document: Mapping[str, Any]) -> str:
    return f"```json\n{json.dumps(document['examples'][0], ensure_ascii=False, indent=2)}\n```\n"


def _sealed(message: MessageType) -> str:
    said = _both(_SEALED[message.declared.sealed])
    schema: Schema | None = message.sealed_schema
    if schema is None:
        return f"{said}。\n"
    text = f"{said}；{_both(_TO[message.declared.sealed_to])}。"
    if message.declared.padding > 1:
        size = f"{message.declared.padding} KiB"
        text += f" 明文补足到 {size} 的整倍数 · padded to a multiple of {size}."
    return f"{text}\n\n{schema.document['description']}\n{schema.document['x-description-en']}\n"


# Markdown ---------------------------------------------------------------------------------------------


def _both(words: tuple[str, str]) -> str:
    return f"{words[0]} · {words[1]}"


def _list(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
