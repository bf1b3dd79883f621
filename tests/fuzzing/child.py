"""One fuzzer on one target: `python -m tests.fuzzing.child TARGET [libFuzzer's options and folders]`.

libFuzzer stops at the first finding, says what it was, and keeps the input (its option `artifact_prefix`).
"""

import sys

import atheris

with atheris.instrument_imports(include=["keys", "protocols", "hub", "adapters"], enable_loader_override=False):
    from tests.fuzzing.planted import PLANTED
    from tests.fuzzing.probing import Target, probe


def _target(name: str) -> Target:
    if name in PLANTED:
        return PLANTED[name]
    with atheris.instrument_imports(include=["keys", "protocols", "hub", "adapters"], enable_loader_override=False):
        from tests.fuzzing.targets import TARGETS  # they import all there is, which takes seconds
    return TARGETS[name]


def main() -> None:
    """Fuzz until the time is over or something is found."""
    target = _target(sys.argv[1])

    def one(data: bytes) -> None:
        probe(target, data)

    atheris.Setup([sys.argv[0], *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
