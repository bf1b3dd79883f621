"""The wire reference in Markdown, made from the hub's own OpenAPI document."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SHAPES = "shapes.md"
_COMPONENTS = "#/components/schemas/"
_LIMITS = {
    "format": "",
    "pattern": "",
    "minimum": "≥",
    "maximum": "≤",
    "minLength": "length ≥",
    "maxLength": "length ≤",
    "default": "default",
}
_METHODS = ("get", "put", "post", "patch", "delete")


def calls(document: Mapping[str, Any]) -> str:
    """Every call: what it does, what it takes, what it answers."""
    parts = [
        "# 调用 · The calls",
        "由枢纽自己的 OpenAPI 文档（`GET /openapi.json`）生成。*Made from the hub's own OpenAPI document.*",
        "🔑 须带令牌（自签的 JWT） · *bears a token that the caller signs itself.* 错误一律是 "
        f"[Problem]({_SHAPES}#problem)（RFC 9457）· *whatever goes wrong is a Problem.*",
    ]
    for tag, listed in _by_tag(document).items():
        parts.append(f"## {tag}")
        for method, path, operation in listed:
            parts += _call(method, path, operation)
    return "\n\n".join(parts) + "\n"


def shapes(document: Mapping[str, Any]) -> str:
    """Every shape of data that a call takes or answers."""
    parts = [
        "# 数据形状 · Shapes of data",
        "各[调用](calls.md)收发的 JSON。*The JSON of the calls.* **粗体**：必有 · *in bold: always there.*",
    ]
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts += [f"## {name}", " ".join(schema.get("description", "").split()), _fields(schema)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _by_tag(document: Mapping[str, Any]) -> dict[str, list[tuple[str, str, Mapping[str, Any]]]]:
    found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in document["paths"].items():
        for method in (name for name in _METHODS if name in methods):
            operation = methods[method]
            found.setdefault(" · ".join(operation["tags"]), []).append((method.upper(), path, operation))
    return found


def _call(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {method} `{path}`{' 🔑' if operation.get('security') else ''} {{ #{operation['operationId']} }}"
    yield operation["summary"]
    if operation.get("description"):
        yield operation["description"]
    if operation.get("parameters"):
        rows = [
            (f"`{p['name']}`", p["in"], _shape(p["schema"]), p.get("description", "")) for p in operation["parameters"]
        ]
        yield _table(("参数 parameter", "在 in", "形状 shape", "含义 meaning"), rows)
    if "requestBody" in operation:
        yield f"请求体 · body: {_content(operation['requestBody'])}"
    answers = [
        (f"`{status}`", answer["description"], _content(answer))
        for status, answer in operation["responses"].items()
        if status != "default"
    ]
    yield _table(("状态 status", "含义 meaning", "内容 content"), answers)


def _content(body: Mapping[str, Any]) -> str:
    held = body.get("content", {})
    return ", ".join(f"`{media}` {_shape(one.get('schema', {}))}".strip() for media, one in held.items()) or "—"


def _fields(schema: Mapping[str, Any]) -> str:
    if "properties" not in schema:
        return _shape(schema)
    required = set(schema.get("required", ()))
    rows = [
        (
            f"**`{name}`**" if name in required else f"`{name}`",
            _shape(one),
            _meaning(one),
        )
        for name, one in schema["properties"].items()
    ]
    return _table(("字段 field", "形状 shape", "含义 meaning"), rows)


def _meaning(schema: Mapping[str, Any]) -> str:
    """What is said of a field, else what it is called in both languages."""
    called = " · ".join(schema[name] for name in ("title", "x-title-en") if name in schema)
    return " ".join(schema.get("description", called).split())


def _shape(schema: Mapping[str, Any]) -> str:
    """A schema in a few words; names of shapes are links to them."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_COMPONENTS)
        return f"`{name.rpartition('/')[2]}`" if "/" in name else f"[{name}]({_SHAPES}#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " / ".join(dict.fromkeys(_shape(one) for one in schema[several]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    kinds = schema.get("type", "")
    said = " / ".join(kinds) if isinstance(kinds, list) else kinds
    if said == "array" and "items" in schema:
        return f"[ {_shape(schema['items'])} ]" if schema["items"] else "array"
    if said == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"{{ … : {_shape(schema['additionalProperties'])} }}"
    limits = [f"{word} {schema[name]}" for name, word in _LIMITS.items() if name in schema]
    return ", ".join([said, *limits]) if said else "—"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
