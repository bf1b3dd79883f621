"""The licence of each locked package as an SPDX expression, and whether it may come in (licences.toml)."""

import tomllib
from importlib import metadata

from boolean import Expression
from license_expression import ExpressionError, get_spdx_licensing
from locks import ROOT, Locked

RULES = tomllib.loads((ROOT / ".ci/licences.toml").read_text())
SPDX = get_spdx_licensing()


def licence(package: Locked) -> str:
    """The SPDX expression of a package; empty where nobody says it."""
    return RULES["packages"].get(package.name) or package.licence or _installed(package.name)


def complaint(package: Locked) -> str | None:
    """Why a package may not come in, in one sentence."""
    expression = licence(package)
    if not expression:
        return f"{package.name} {package.version}: no licence known; read its licence file, write it into licences.toml"
    parsed = _parsed(expression)
    if parsed is not None and (package.name in RULES["exceptions"] or _allowed(parsed)):
        return None
    return f"{package.name} {package.version}: {expression} is not among the licences that may come in"


def _allowed(expression: Expression) -> bool:
    """`OR` leaves the choice to us, `AND` does not."""
    if isinstance(expression, SPDX.OR):
        return any(map(_allowed, expression.args))
    if isinstance(expression, SPDX.AND):
        return all(map(_allowed, expression.args))
    return str(expression) in RULES["allowed"]


def _installed(name: str) -> str:
    """What the metadata of the installed package says: its expression, else its licence, else its classifiers."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classifiers = [text.split(" :: ")[-1] for text in said.get_all("Classifier", []) if text.startswith("License ::")]
    for text in (*said.get_all("License-Expression", []), *said.get_all("License", []), *classifiers):
        expression = RULES["read_as"].get(text, text)
        if _parsed(expression) is not None:
            return str(expression)
    return ""


def _parsed(text: str) -> Expression | None:
    try:
        return SPDX.parse(text, validate=True)
    except ExpressionError:
        return None
