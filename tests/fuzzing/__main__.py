"""`make fuzz`: every target in turn, with progress, and a summary at the end; exit status 1 where anything was found.

What libFuzzer finds worth keeping goes to `.fuzz/corpus`, what breaks a reader to `.fuzz/found`. With `--keep` both
are added to `tests/fuzzing/corpus`, which every test run replays: once a finding is mended it stays so.
"""

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzzing.campaign import HEAD, Outcome, fuzz
from tests.fuzzing.targets import TARGETS

PLACE = Path(".fuzz")


def main() -> int:
    """Fuzz what was asked for."""
    asked = _arguments()
    if find_spec("atheris") is None:
        print(
            "没有 atheris 的轮子适用于本平台 (Linux x86-64, Python 3.11–3.13) · no wheel of atheris for this platform"
        )
        return 2
    names = asked.target or list(TARGETS)
    print(
        f"{len(names)} targets, {asked.seconds} s each · {len(names)} 个目标，每个 {asked.seconds} 秒\n{HEAD}",
        flush=True,
    )
    began = time.monotonic()
    outcomes: list[Outcome] = []
    for name in names:
        if sys.stdout.isatty():
            print(f"{name:<20}  …", end="\r", flush=True)
        outcomes.append(fuzz(TARGETS[name], asked.seconds, PLACE / "corpus" / name, PLACE / "found" / name))
        print(outcomes[-1].line, flush=True)
    if asked.keep:
        for name in names:
            TARGETS[name].keep(path.read_bytes() for path in PLACE.glob(f"*/{name}/*"))
    return _summary(outcomes, time.monotonic() - began)


def _summary(outcomes: list[Outcome], seconds: float) -> int:
    found = [one for one in outcomes if one.finding is not None]
    inputs = sum(one.inputs for one in outcomes)
    print(f"\n{inputs:,} inputs in {seconds / 60:.1f} min, {len(found)} findings · {len(found)} 个问题")
    for one in found:
        print(f"  {one.name}: {one.finding}\n    {one.input}")
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=…", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--keep", action="store_true", help="keep the new inputs in tests/fuzzing/corpus")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
