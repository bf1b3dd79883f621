"""Every refusal that can reach a caller has its problem; the others can't reach one."""

import importlib
import pkgutil
from collections.abc import Iterator

import hub
import keys
import protocols
from hub.errors import CATALOGUE
from keys.errors import Fault

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


def test_each_problem_has_words_in_both_languages_and_a_fitting_status() -> None:
    for code, entry in CATALOGUE.items():
        assert entry.zh and entry.en, code
        assert entry.zh != entry.en
        assert 400 <= entry.status < 600
        assert entry.retryable == (entry.status == 429 or entry.status >= 500), code
