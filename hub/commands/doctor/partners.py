"""The adapters' sections: whether each can be used, its key store, its files, its certificates, its addresses."""

from pathlib import Path

from cryptography import x509

from adapters.running import kinds
from adapters.running.configuration import Section, path, sections
from hub.commands.doctor import machine, network
from hub.commands.doctor.finding import Report, edited, quoted, texts
from keys.errors import Fault, KeyStoreFault
from keys.keystore import read_passphrase

PEM = "-----BEGIN CERTIFICATE"


def check(report: Report, file: Path) -> dict[str, str]:
    """Look at every section; the addresses that they call, with what each is for."""
    try:
        known = sections(file)
    except Fault as fault:
        report.looked.append("adapters")
        report.error(fault.code, "适配器的配置不能使用", fault.detail, f"$EDITOR {quoted(file)}  # docs/adapters")
        return {}
    urls: dict[str, str] = {}
    for name, one in known.items():
        mend = f"xieban adapter check {quoted(name)} --config {quoted(file)}"
        with report.looking(f"adapters.{name}", mend):
            for problem in kinds.check(one):
                report.error("adapter-config-invalid", f"适配器 {name} 的配置有误", problem, mend)
            _keys(report, one, file)
            _files(report, one, file)
        urls[one.common.hub] = f"[adapters.{name}] hub"
        urls |= {value: f"[adapters.{name}] {key}" for key, value in texts(one.own) if value.startswith("https://")}
    return urls


def _keys(report: Report, section: Section, file: Path) -> None:
    passphrase = None
    if section.common.passphrase_file is not None:
        try:
            passphrase = read_passphrase(section.common.passphrase_file)
        except KeyStoreFault as fault:
            report.error("passphrase-unreadable", f"适配器 {section.name} 的口令文件不能使用", fault.detail,
                         f"chmod 600 {quoted(section.common.passphrase_file)}")  # fmt: skip
    elsewhere = edited(file, f'[adapters.{section.name}] passphrase_file = "…"')
    for folder in (section.common.keys, *section.common.sealed_keys):
        machine.key_store(report, folder, passphrase if folder == section.common.keys else None, elsewhere)


def _files(report: Report, section: Section, file: Path) -> None:
    """Certificates that end, and private keys that others can read."""
    for key, value in texts(section.own):
        text = value
        if not value.lstrip().startswith(PEM):
            named = path(value, section.base) if 0 < len(value) < 1000 and "\n" not in value else None
            if named is None or not named.is_file():
                continue
            if named.stat().st_size > 1 << 20:
                continue
            text = named.read_text("utf-8", "replace")
            if "PRIVATE KEY-----" in text and named.stat().st_mode & 0o077:
                report.error("key-open", f"私钥 {named} 别人也能读", f"others can read the private key {named}",
                             f"chmod 600 {quoted(named)}")  # fmt: skip
        if PEM in text:
            for held in x509.load_pem_x509_certificates(text.encode()):
                network.certificate(report, held, f"[adapters.{section.name}] {key}",
                                    edited(file, f"[adapters.{section.name}] {key} 换新 · a new one"))  # fmt: skip
