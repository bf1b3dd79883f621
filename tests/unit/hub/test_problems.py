"""Every refusal that can reach a caller has its problem; the others can't reach one."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import adapters
import hub
import keys
import protocols
from hub.commands.explaining import CAUSES, WORDS, line
from hub.errors import CATALOGUE
from keys.errors import Fault, KeyStoreFault

NEVER_OVER_HTTP = {
    "erasure-refused",
    # Raised where a receipt, a seal or a key store is used: at a partner's, by the command line, by the audit.
    "seal-invalid",
    "proof-invalid",
    "checkpoint-invalid",
    "receipt-invalid",
    "mailbox-end-invalid",
    "lineage-invalid",
    "keystore-fault",
    # Raised at start or by commands.
    "backup-failed",
    "backup-invalid",
    "calendar-invalid",
    "catalogue-invalid",
    "config-invalid",
    "data-directory-busy",
    "database-absent",
    "database-elsewhere",
    "database-unavailable",
    "dump-failed",
    "folder-taken",
    "hub-key-gone",
    "hub-key-locked",
    "hub-moved",
    "log-not-current",
    "restore-refused",
    "restore-unfinished",
    "bulletin-too-large",
    "import-invalid",
    "root-invalid",
    "succession-invalid",
    "vouching-invalid",
    "migration-mismatch",
    "schema-outdated",
    "downgrade-refused",
    "export-contradicted",
    "export-impossible",
    "laid-out-otherwise",
    "no-cluster",
    "not-one-moment",
    "spreading-failed",
    "neighbour-invalid",
    "address-unusable",
    "port-in-use",
    "telemetry-absent",
    "protocol-name-unfit",
    # Told on a page of the console, in its own words.
    "login-refused",
    "logins-too-many",
    "person-invalid",
    # Registers that no call looks anything up in yet; ids in messages are judged by schema and directory.
    "department-unknown",
    "division-unknown",
    "organisation-id-malformed",
    # The base of those with a list of findings; never raised itself.
    "invalid",
}


def faults(of: type[Fault]) -> Iterator[type[Fault]]:
    """All classes below."""
    for below in of.__subclasses__():
        yield below
        yield from faults(below)


def test_every_fault_has_a_problem_or_never_reaches_a_caller() -> None:
    for package in (keys, protocols, hub):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.startswith("hub.commands"):
                importlib.import_module(module.name)
    ours = [fault for fault in faults(Fault) if fault.__module__.startswith(("keys.", "protocols.", "hub."))]
    # The commands have faults of their own, which end at the terminal; another test may have imported them.
    ours = [fault for fault in ours if not fault.__module__.startswith("hub.commands")]
    codes = {fault.code for fault in ours}
    assert codes - CATALOGUE.keys() == NEVER_OVER_HTTP & codes
    assert codes >= CATALOGUE.keys() | NEVER_OVER_HTTP


def test_every_fault_has_words_in_chinese_at_the_terminal() -> None:
    for package in (keys, protocols, hub, adapters):
        for name in _modules(package):
            importlib.import_module(name)
    codes = {fault.code for fault in faults(Fault) if not fault.__module__.startswith("tests")}
    missing = {code for code in codes if code not in WORDS and code not in CATALOGUE}
    assert missing == set()
    assert all(map(_chinese, WORDS.values()))


def test_where_one_code_has_several_causes_the_words_are_those_of_the_cause() -> None:
    found = {cause: of for package in (keys, protocols, hub, adapters) for cause, of in _causes(package)}
    # A seal that was tampered with is told from another by programs; to a person it is one and the same.
    assert found.keys() - CAUSES.keys() == {cause for cause in found if cause[0] == "seal-invalid"} - CAUSES.keys()
    assert CAUSES.keys() <= found.keys(), "words for a cause that nothing raises"
    for (code, check), fault in found.items():
        said = line(fault("…", check=check))
        assert _chinese(said) and said.endswith(f" · {code}: …"), said
    for (code, check), said in CAUSES.items():
        assert said not in {of for cause, of in CAUSES.items() if cause[0] == code and cause[1] != check}, said
        assert said != WORDS.get(code)


def test_a_cause_without_words_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text("raise KeyStoreFault('x', check='nobody thought of it')")
    assert dict(_raised(tmp_path / "raising.py", {"KeyStoreFault": KeyStoreFault})).keys() - CAUSES.keys()


@pytest.mark.parametrize("code", ["keystore-fault", "database-unavailable"])
def test_words_for_all_causes_of_a_code_give_no_advice_that_only_one_of_them_needs(code: str) -> None:
    assert "，" not in WORDS[code]


def _modules(package: ModuleType) -> Iterator[str]:
    found = (module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."))
    return (name for name in found if not name.endswith("__main__"))


def _chinese(text: str) -> bool:
    return re.search("[\u4e00-\u9fff]", text) is not None


def _causes(package: ModuleType) -> Iterator[tuple[tuple[str, str], type[Fault]]]:
    """What the source raises: of each fault with a `check`, its code and the check."""
    for name in _modules(package):
        module = importlib.import_module(name)
        assert module.__file__ is not None
        yield from _raised(Path(module.__file__), vars(module))


def _raised(file: Path, names: dict[str, object]) -> Iterator[tuple[tuple[str, str], type[Fault]]]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            made = names.get(getattr(node.func, "id", ""))
            if isinstance(node.func, ast.Attribute):
                made = getattr(names.get(getattr(node.func.value, "id", "")), node.func.attr, None)
            for word in node.keywords:
                if (
                    word.arg == "check" and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
                    and isinstance(made, type) and issubclass(made, Fault)
                ):  # fmt: skip
                    yield (made.code, word.value.value), made


def test_each_problem_has_words_in_both_languages_and_a_fitting_status() -> None:
    for code, entry in CATALOGUE.items():
        assert entry.zh and entry.en, code
        assert entry.zh != entry.en
        assert 400 <= entry.status < 600
        assert entry.retryable == (entry.status == 429 or entry.status >= 500), code
