"""The configuration: whether it can be read, and whether what it names is there."""

import importlib.util
import json
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hub import config as configuration
from hub.commands.doctor.finding import Report, edited, quoted, reached, texts
from hub.config import Config
from keys.errors import Fault
from keys.jwk import parse_jwks
from protocols import deadlines, legal_basis

_SETTING = re.compile(r"\[([a-z_]+)\] ([a-z_]+): ")
_RIGHT = {
    "hub.id": '"410000-hub"  # 区划代码-hub · its division, -hub',
    "server.proxies": '["127.0.0.1"]  # IP 地址 · IP addresses',
    "log.witnesses": '["NAME+HASH+KEY"]  # 由见证方 · as its keeper prints it: xieban witness --vkey',
    "trust.algorithms": '["Ed25519", "ES256"]',
    "database.replica": '"postgresql://…"  # 另有 url 时 · beside a url',
}
"""Right values of what is judged by more than its type."""
_SECTION = re.compile(r"at `\$\.([a-z_]+)(?:\.([a-z_]+))?")
_PLACE = re.compile(r"line (\d+)")


def read(report: Report, file: Path | None) -> Config | None:
    """The configuration, None where it can't be used."""
    report.looked.append("config")
    try:
        return configuration.load(file)
    except Fault as fault:
        report.error("config-invalid", "配置文件不能使用", fault.detail, _mend(file, fault.detail))
    return None


def is_toml(file: Path) -> bool:
    """Whether there is anything to look at in the file; where there is not, `read` has said so."""
    try:
        tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return True


def secrets(report: Report, file: Path) -> None:
    """Whether a password in the file is for everybody on this machine to read."""
    report.looked.append("secrets")
    if not file.stat().st_mode & 0o004 or not reached(file):
        return
    named = [key for key, value in texts(tomllib.loads(file.read_text("utf-8"))) if _has_password(value)]
    if named:
        report.error("password-open", f"{file} 中 {named[0]} 的口令谁都能读",
                     f"everybody can read the password of {named[0]} in {file}",
                     f"chmod o-rwx {quoted(file)}  # 枢纽的账户须仍能读 · its group is the hub's")  # fmt: skip


def _has_password(value: str) -> bool:
    if "://" not in value:
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return False


def _mend(file: Path | None, detail: str) -> str:
    if place := _PLACE.search(detail):
        return f"sed -n {place[1]}p {quoted(file)}  # 改正这一行 · mend this line"
    if (found := _SETTING.search(detail)) and (right := _RIGHT.get(f"{found[1]}.{found[2]}")):
        return edited(file, f"[{found[1]}] {found[2]} = {right}")
    if found := _SECTION.search(detail):
        kind = type(getattr(Config(), found[1], None))
        fields = ", ".join(getattr(kind, "__struct_fields__", ()))
        return f"$EDITOR {quoted(file)}  # [{found[1]}] 可有 · may hold: {fields}"
    if "unknown field" in detail:
        known = ", ".join(f"[{name}]" for name in Config.__struct_fields__)
        return f"$EDITOR {quoted(file)}  # 只有 · there are: {known}"
    if file is not None and not file.exists():
        return f"xieban init --config {quoted(file)}  # 新枢纽；已有的指明其文件 · for a new hub; else name its file"
    return f"ls -l {quoted(file)}"


def check(report: Report, config: Config, file: Path | None) -> None:
    """What the configuration names: catalogue, anchor, legal basis, extras."""
    own = config.protocols.besides or config.protocols.folder or ""
    with report.looking("protocols", f"xieban protocols check {quoted(own)}".strip()):
        config.catalogue()
    _store(report, config.attachments.store, file)
    _anchor(report, config, file)
    _basis(report, config, file)
    for needed, module, extra in (
        ("SM2" in config.trust.algorithms, "tongsuopy", "sm"),
        ((config.attachments.store or "").startswith("s3://"), "obstore", "s3"),
        (config.telemetry.endpoint is not None, "opentelemetry.sdk", "telemetry"),
    ):
        if needed and not _installed(module):
            report.error(
                "extra-missing", f"缺少附加包 {extra}", f"the configuration needs the extra {extra}",
                f"pip install 'xieban[{extra}]'",
            )  # fmt: skip


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _store(report: Report, store: str | None, where: Path | None) -> None:
    if store is not None and not store.startswith(("/", "s3://")):
        report.error("config-invalid", "附件的存处应是绝对路径或 s3://", f"no store of attachments: {store[:80]}",
                     edited(where, '[attachments] store = "s3://bucket/folder"  # 或 or "/srv/files"'))  # fmt: skip


def _anchor(report: Report, config: Config, where: Path | None) -> None:
    report.looked.append("trust-anchor")
    anchor, file = config.trust.anchor, config.trust.anchor_jwks
    if (anchor is None) != (file is None):
        missing = 'anchor = "410000-supervision"' if anchor is None else 'anchor_jwks = "/etc/xieban/anchor.jwks"'
        report.error(
            "trust-anchor", "信任锚只写了一半", "[trust] names half an anchor", edited(where, f"[trust] {missing}")
        )
    if file is None:
        return
    try:
        found = parse_jwks(json.loads(Path(file).read_bytes()))
        why = "" if found else "it holds no key"
    except (OSError, ValueError, Fault) as error:
        why = error.detail if isinstance(error, Fault) else str(error)
    if why:
        report.error("trust-anchor", f"信任锚的公钥 {file} 不能使用", f"the anchor's keys, {file}: {why}",
                     f"xieban keys show --keys ANCHOR > {quoted(file)}  # 由信任锚 · by the anchor")  # fmt: skip


def _basis(report: Report, config: Config, where: Path | None) -> None:
    report.looked.append("legal-basis")
    try:
        legal_basis.in_force(config.bulletins.legal_basis, deadlines.local_date(datetime.now(UTC)))
    except Fault as fault:
        default = Config().bulletins.legal_basis
        report.warning("legal-basis", f"通报的法律依据 {config.bulletins.legal_basis} 不可用", fault.detail,
                       edited(where, f'[bulletins] legal_basis = "{default}"'))  # fmt: skip
