"""Every flow against a plain model that reads its TOML and knows states, roles and counts, and nothing else.

Random messages, allowed and forbidden, by parties and strangers: the engine and the model agree on each of them.
"""

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import flow
from protocols.flow import Case, Transition
from protocols.loading import FOLDER, Protocol, catalogue
from tests import simulator
from tests.catalogue_files import FLOWS

PARTIES = ("411002-health", "440306-health", "441900-health")
STRANGERS = ("320583-health", "410105-civil-affairs", "411002-finance")
WORKING = [path for path in FLOWS if path.parent.parent.name != "horizontal"]


def toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class Model:
    """One case by the words of its flow file."""

    def __init__(self, path: Path, parties: list[str], message: str) -> None:
        written = toml(path)
        self.states: dict[str, dict[str, Any]] = written["states"]
        names = {f"@{name}": listed(value) for name, value in written.get("horizontal", {}).get("states", {}).items()}
        running = [name for name, state in self.states.items() if not state.get("final")]
        held = [n for n in running if self.owners(n) == ["responder"] and self.states[n].get("clock") == "runs"]
        names |= {"@open": running, "@held": held, "@any": list(self.states)}
        adopted = written.get("horizontal", {}).get("messages", [])
        shared = [m for m in toml(FOLDER / "horizontal/1.0/flow.toml")["moves"] if m["message"] in adopted]
        self.moves: list[dict[str, Any]] = []
        for move in [*written["moves"], *shared]:
            sources = [state for name in move.get("from", []) for state in names.get(name, [name])]
            to = move.get("to")
            if to in names:
                (to,) = names[to]
            self.moves.append(move | {"from": sources, "to": to})
        (opening,) = [move for move in self.moves if move.get("opens") and move["message"] == message]
        self.state: str = opening["to"]
        self.came_from: str | None = None
        self.proposed = False
        self.counts: dict[Any, int] = {}
        self.said: set[str] = set()
        self.opener, self.responder, *self.participants = parties
        self.former: list[str] = []
        self.last: tuple[str, dict[str, Any]] | None = None

    def owners(self, state: str) -> list[str]:
        return listed(self.states[state]["owner"]) if "owner" in self.states[state] else []

    def role(self, name: str) -> str | None:
        if name in (self.opener, self.responder):
            return "opener" if name == self.opener else "responder"
        return "participant" if name in self.participants else "hub" if name == simulator.HUB else None

    def move(self, name: str, message: str) -> dict[str, Any] | None:
        """The move that would be made; None where the flow file has none for this."""
        role = self.role(name)
        for move in self.moves:
            if move["message"] != message or self.state not in move["from"] or role is None:
                continue
            by = listed(move.get("by", []))
            if by == ["other"]:
                by = [r for r, o in (("opener", "responder"), ("responder", "opener"))
                      if o in self.owners(self.state) and r not in self.owners(self.state)]  # fmt: skip
            if role in by and self.possible(move, name):
                return move
        return None

    def possible(self, move: dict[str, Any], name: str) -> bool:
        if "limit" in move and self.counts.get(self.counted(move, name), 0) >= move["limit"]:
            return False
        if move.get("settles") and not self.proposed:
            return False
        return not (move.get("each") and name in self.said)

    def counted(self, move: dict[str, Any], name: str) -> Any:
        return (move["message"], name) if move.get("per") == "sender" else move["message"]

    def make(self, move: dict[str, Any], name: str, data: dict[str, Any]) -> None:
        if "limit" in move:
            self.counts[self.counted(move, name)] = self.counts.get(self.counted(move, name), 0) + 1
        if move.get("proposes") or move.get("settles"):
            self.proposed = bool(move.get("proposes"))
        if assigns := move.get("assigns"):
            self.assign(assigns, data[assigns["from"]])
        if move.get("each"):
            self.said.add(name)
            waiting = [
                p for p in (self.opener, self.responder, *self.participants) if self.role(p) in listed(move["by"])
            ]
            if not set(waiting) <= self.said:
                return
        if move["to"] is not None:
            target = (self.came_from or self.state) if move["to"] == "@back" else move["to"]
            clock = self.states[target].get("clock", "stopped")
            self.came_from = self.state if clock == "paused" else None
            self.proposed = self.proposed and clock != "stopped"
            self.state, self.said = target, set()

    def assign(self, assigns: dict[str, Any], newcomer: str) -> None:
        if assigns["role"] == "participant":
            self.participants.append(newcomer)
            return
        if newcomer == self.responder:
            self.proposed = False
            return
        self.participants = [name for name in self.participants if name != newcomer]
        (self.participants if assigns.get("among") == "parties" else self.former).append(self.responder)
        self.responder, self.proposed = newcomer, False


@pytest.mark.parametrize("path", WORKING, ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_engine_and_model_agree_on_every_message(path: Path, data: st.DataObject) -> None:
    protocol = catalogue().protocols[path.parts[-3], path.parts[-2]]
    now = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)

    def choose(options: Any) -> Any:
        return data.draw(st.sampled_from(options))

    opening = simulator.opening(protocol, PARTIES[: data.draw(st.integers(2, 3))], now, choose)
    outcome = simulator.advance(protocol, None, opening, now)
    assert isinstance(outcome, Transition), outcome
    case, model = outcome.case, Model(path, [opening.source, *opening.recipients], opening.message)
    messages = sorted(set(protocol.messages) - {"invalidate", *protocol.flow.opening})
    for _ in range(data.draw(st.integers(1, 25))):
        now += timedelta(hours=data.draw(st.sampled_from([0, 5, 30, 200])))
        name = choose((*case.parties(), *case.former, *STRANGERS, simulator.HUB))
        message = choose(messages)
        case = step(protocol, case, model, name, message, now, choose)


def step(protocol: Protocol, case: Case, model: Model, name: str, message: str, now: datetime, choose: Any) -> Case:
    move = model.move(name, message)
    if move is None:
        refused = simulator.event(
            protocol, message, name, [p for p in case.parties() if p not in (name, simulator.HUB)] or ["411002-health"],
            case.id, now, simulator.examples(protocol, message)[0],
        )  # fmt: skip
        assert not isinstance(flow.advance(protocol.flow, case, refused, now), Transition), (model.state, name, message)
        return case
    rules = protocol.flow.table[case.state, simulator.role(case, name) or ""][message]
    if rules.assigns is not None and not simulator.newcomers(case, rules, STRANGERS):
        return case
    event = simulator.fitting(protocol, case, name, message, now, STRANGERS, choose)
    outcome = flow.advance(protocol.flow, case, event, now)
    assert isinstance(outcome, Transition), (model.state, name, message, outcome)
    model.make(move, name, event.data)
    after = outcome.case
    assert after.state == model.state
    assert after.parties() == (model.opener, model.responder, *model.participants)
    assert list(after.former) == model.former
    return after
