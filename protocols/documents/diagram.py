"""A flow as a picture (SVG 1.1): states from top to bottom, and for each message a lane from where it is sent to where
it leads, on the right where it goes down and on the left where it goes up.

Nothing overlaps by construction: every lane has an x of its own among those it passes, every end a y of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from protocols.table import BACK, Flow, Move, State

BOX, PORT, GAP, LANE, MARGIN, LINE = 260, 22, 26, 14, 24, 17
LETTER, IDEOGRAPH = 6.4, 12.5
_UNITS = {"working": ("个工作日", "working days"), "calendar": ("日", "days")}


@dataclass(slots=True)
class Lane:
    """One message from its states to one state; `x` and the ends' `y` are told by `_place`."""

    label: str
    sources: tuple[str, ...]
    target: str
    side: int
    x: float = 0
    starts: dict[str, float] = field(default_factory=dict)
    end: float = 0

    def span(self) -> tuple[float, float]:
        """From the uppermost of its ends to the lowest."""
        ends = (*self.starts.values(), self.end)
        return min(ends), max(ends)


@dataclass(slots=True)
class Box:
    """A state: its lines of text, its ports on both sides, and where it is drawn."""

    name: str
    lines: tuple[str, ...]
    final: bool
    ports: dict[int, list[tuple[Lane, bool]]] = field(default_factory=lambda: {1: [], -1: []})
    y: float = 0
    height: float = 0


def draw(flow: Flow) -> str:
    """The picture."""
    lanes = _lanes(flow)
    boxes = {name: Box(name, _lines(flow, name, state), state.final) for name, state in flow.states.items()}
    labels = _place(boxes, lanes)
    left, right = MARGIN + labels[-1] + _breadth(lanes, -1), labels[1] + _breadth(lanes, 1)
    width, height = left + BOX + right + MARGIN, max(box.y + box.height for box in boxes.values()) + MARGIN
    for lane in lanes:
        inside = labels[lane.side] + LANE * (lane.x + 1)
        lane.x = left + BOX + inside if lane.side == 1 else left - inside
    body = [_box(box, left) for box in boxes.values()]
    body += [_lane(lane, left if lane.side == -1 else left + BOX) for lane in lanes]
    first = next(boxes[name] for name in flow.states if any(move.to == name for move in flow.opening.values()))
    body.append(_opening(first, left, ", ".join(flow.opening)))
    title = f"{flow.title.zh} · {flow.title.en} {flow.version}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
            f' viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
            ' orient="auto"><path d="M0 0 8 4 0 8z" fill="#35506b"/></marker></defs>',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def breadth(text: str) -> float:
    """About how wide a text is drawn, in pixels."""
    return sum(IDEOGRAPH if ord(character) > 0x2E7F else LETTER for character in text)


# What is drawn ----------------------------------------------------------------------------------------


def _lanes(flow: Flow) -> list[Lane]:
    order = {name: number for number, name in enumerate(flow.states)}
    titles = {role: text.zh for role, text in flow.roles.items()} | {"hub": "枢纽"}
    found: list[Lane] = []
    for move in flow.moves:
        for target, sources in _ways(flow, move).items():
            who = "、".join(titles[role] for role in move.by)
            for side in (1, -1):
                same = tuple(name for name in sources if (order[target] > order[name]) == (side == 1))
                if same:
                    found.append(Lane(f"{move.message} {who}", same, target, side))
    return found


def _ways(flow: Flow, move: Move) -> dict[str, list[str]]:
    """Where the move leads to, each with the states it leads from; none where the state stays."""
    found: dict[str, list[str]] = {}
    for name in move.states:
        if move.to == BACK:
            left = [state for other in flow.moves if other.to == name for state in other.states]
            for target in dict.fromkeys(left):
                found.setdefault(target, []).append(name)
        elif move.to is not None and move.to != name:
            found.setdefault(move.to, []).append(name)
    return found


def _lines(flow: Flow, name: str, state: State) -> tuple[str, ...]:
    first = f"{state.zh} {state.en}"
    if state.final or state.due is None:
        return first, name
    deadline = flow.deadlines[state.due]
    unit, english = _UNITS[deadline.unit]
    owners = "、".join(flow.roles[role].zh for role in state.owners)
    return first, f"{owners} · {deadline.zh} {deadline.days}{unit}", f"{name} · {deadline.days} {english}"


# Where it is drawn ------------------------------------------------------------------------------------


def _place(boxes: dict[str, Box], lanes: Sequence[Lane]) -> dict[int, float]:
    """Give every end a y and every lane a number on its side, in `x`; how wide the labels of each side are."""
    for lane in lanes:
        for name in lane.sources:
            boxes[name].ports[lane.side].append((lane, False))
        boxes[lane.target].ports[lane.side].append((lane, True))
    y = float(MARGIN + GAP)
    for box in boxes.values():
        most = max(len(ports) for ports in box.ports.values())
        box.y, box.height = y, max(len(box.lines) * LINE + 14, (most + 0.5) * PORT)
        for ports in box.ports.values():
            for number, (lane, end) in enumerate(ports):
                at = box.y + (number + 1) * box.height / (len(ports) + 1)
                if end:
                    lane.end = at
                else:
                    lane.starts[box.name] = at
        y += box.height + GAP
    for side in (1, -1):
        taken: list[list[tuple[float, float]]] = []
        for lane in sorted((lane for lane in lanes if lane.side == side), key=_reach):
            top, bottom = lane.span()
            free = (n for n, spans in enumerate(taken) if all(bottom < a - 4 or top > b + 4 for a, b in spans))
            number = next(free, len(taken))
            if number == len(taken):
                taken.append([])
            taken[number].append((top, bottom))
            lane.x = number
    return {side: max((breadth(lane.label) + 18 for lane in lanes if lane.side == side), default=0) for side in (1, -1)}


def _reach(lane: Lane) -> tuple[float, float]:
    top, bottom = lane.span()
    return bottom - top, top


def _breadth(lanes: Sequence[Lane], side: int) -> float:
    return LANE * (max((lane.x for lane in lanes if lane.side == side), default=-1) + 2)


# SVG --------------------------------------------------------------------------------------------------


def _box(box: Box, x: float) -> str:
    colour = "#e7ece7" if box.final else "#e3edf7"
    top = box.y + (box.height - len(box.lines) * LINE) / 2 + 12
    lines = [
        f'<text x="{x + BOX / 2:.1f}" y="{top + n * LINE:.1f}" text-anchor="middle"'
        f"{' font-weight=' + chr(34) + 'bold' + chr(34) if n == 0 else ' fill=' + chr(34) + '#555555' + chr(34)}>"
        f"{escape(line)}</text>"
        for n, line in enumerate(box.lines)
    ]
    inner = (
        f'<rect x="{x + 3:.1f}" y="{box.y + 3:.1f}" width="{BOX - 6}" height="{box.height - 6:.1f}" rx="4" fill="none"'
        ' stroke="#7d8f7d"/>'
        if box.final
        else ""
    )
    return (
        f'<g><rect x="{x:.1f}" y="{box.y:.1f}" width="{BOX}" height="{box.height:.1f}" rx="6" fill="{colour}"'
        f' stroke="#35506b"/>{inner}{"".join(lines)}</g>'
    )


def _lane(lane: Lane, edge: float) -> str:
    top, bottom = lane.span()
    stroke = 'fill="none" stroke="#35506b"'
    parts = [f'<path d="M{lane.x:.1f} {top:.1f}V{bottom:.1f}" {stroke}/>'] if top != bottom else []
    parts += [f'<path d="M{edge:.1f} {y:.1f}H{lane.x:.1f}" {stroke}/>' for y in lane.starts.values()]
    parts.append(f'<path d="M{lane.x:.1f} {lane.end:.1f}H{edge:.1f}" {stroke} marker-end="url(#arrow)"/>')
    anchor, x = ("start", edge + 10) if lane.side == 1 else ("end", edge - 10)
    parts.append(
        f'<text x="{x:.1f}" y="{lane.end - 4:.1f}" text-anchor="{anchor}" fill="#222222">{escape(lane.label)}</text>'
    )
    return f"<g>{''.join(parts)}</g>"


def _opening(box: Box, x: float, message: str) -> str:
    middle = x + BOX / 2
    return (
        f'<g><circle cx="{middle:.1f}" cy="{box.y - GAP:.1f}" r="5" fill="#35506b"/>'
        f'<path d="M{middle:.1f} {box.y - GAP:.1f}V{box.y:.1f}" stroke="#35506b" marker-end="url(#arrow)"/>'
        f'<text x="{middle + 10:.1f}" y="{box.y - GAP + 4:.1f}">{escape(message)}</text></g>'
    )
