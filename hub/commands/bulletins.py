"""`xieban bulletins`: what the hub reports of its own log, issued to both sides."""

import asyncio
import contextlib
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from hub import bulletins, organisations, processes
from hub.bulletins import issuing
from hub.bulletins.figures import Period
from hub.commands.beside import existing
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, remark, say
from hub.config import Config as Settings
from hub.identity import establish, hub_key
from hub.intake.batch import Sequencer
from hub.store import connecting
from protocols import deadlines, legal_basis
from protocols.departments import parse_organisation_id

app = typer.Typer(no_args_is_help=True, help="通报与考核。 Bulletins and assessments that the hub computes.")


class Kind(StrEnum):
    """The bulletins that the hub computes."""

    PROGRESS = "progress"
    ASSESSMENT = "assessment"


_PROTOCOLS = {Kind.PROGRESS: bulletins.PROGRESS, Kind.ASSESSMENT: bulletins.ASSESSMENT}


@app.command(
    epilog=examples(
        "xieban bulletins issue progress --from 2026-10-01 --to 2026-10-31 --data DIR",
        "xieban bulletins issue assessment --from 2026-07-01 --to 2026-12-31 --data DIR"
        " --between 411002-health --between 440306-health",
    )
)
def issue(
    kind: Annotated[Kind, typer.Argument(help="进展通报或者双向考核。 Which bulletin.")],
    data: Data,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="期间首日。 The first day.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="期间末日。 The last day.")],
    between: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="只发这两方，写两次。 Only these two sides; given twice."),
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """根据日志计算并发给双方。 Compute from the log, sign, and send to both sides; safe to repeat.

    不指定双方时，期间内有案件往来的每两方各发一份。已发过的不重发。

    Without --between every two organisations with cases between them get theirs. What was issued is not issued again.
    """
    period = _period(first, last)
    settings = existing(data, config)
    legal_basis.in_force(settings.bulletins.legal_basis, deadlines.local_date(datetime.now(UTC)))
    sides = _sides(between or [])
    issued, known, refused = asyncio.run(_issue(_PROTOCOLS[kind], settings, data.resolve(), period, sides))
    if json:
        as_json({"issued": issued, "known": known, "refused": refused})
    else:
        for one in refused:
            remark(f"✗ {' · '.join(one['between'])}: {one['reason']}")
        if not (issued or known or refused):
            remark(
                f"{period.first} 至 {period.last} 没有两方之间的案件，不必通报 · no two organisations had a case then"
            )
        say(f"已发 issued {len(issued)} · 此前已发 issued before {known} · 未发 refused {len(refused)}")
    if refused:
        raise typer.Exit(1)


async def _issue(
    protocol: str, settings: Settings, data: Any, period: Period, sides: tuple[str, str] | None
) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
    async with processes.attached(data, settings) as dsn, await connecting.pool(dsn, 4) as pool:
        async with pool.acquire() as connection:
            identity = await establish(connection, settings.hub.id, hub_key(data))
            directory = await organisations.load(connection)
            if unknown := [name for name in sides or () if directory.get(name) is None]:
                raise UsageFault(f"{unknown[0]} is not known here; xieban organisations list shows who is")
        sequencer = Sequencer(pool, identity)
        writer = asyncio.create_task(sequencer.run())
        found = await issuing.issue(
            pool, sequencer, identity, settings.catalogue(), protocol, period, settings.bulletins.legal_basis, sides
        )
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer
    issued = [{"between": list(pair), "case": case} for pair, case in found.issued]
    refused = [{"between": list(pair), "reason": fault.code, "detail": fault.detail} for pair, fault in found.refused]
    return issued, found.known, refused


def _period(first: str, last: str) -> Period:
    try:
        period = Period(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError:
        raise UsageFault("--from and --to are days, e.g. 2026-10-01") from None
    if period.first > period.last:
        raise UsageFault("--from is a day after --to")
    if period.last >= deadlines.local_date(datetime.now(UTC)):
        raise UsageFault("the period is not over: --to is a day before today")
    return period


def _sides(between: list[str]) -> tuple[str, str] | None:
    if not between:
        return None
    if len(set(between)) != 2 or len(between) != 2:
        raise UsageFault("--between is given twice, for two organisations")
    for name in between:
        parse_organisation_id(name)
    return between[0], between[1]
