"""The jobs: when each is due, what it does, and what its count counts."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from hub.arrangements import entering, moving
from hub.arrangements.reading import loaded
from hub.config import Config
from hub.erasure import retention
from hub.identity import Identity
from hub.intake.batch import Sequencer
from hub.scheduler import dates, noticing
from hub.scheduler.leading import Lead
from hub.store import Pool
from hub.store.queries import SQL
from hub.supervision import predicting
from protocols import deadlines
from protocols.calendar import Calendar
from protocols.loading import Catalogue

KEPT = timedelta(days=400)
"""How long runs, notices and settled predictions are kept; the log is kept for ever."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a job works with. `today` is that of Asia/Shanghai, at the moment that it runs."""

    pool: Pool
    lead: Lead
    sequencer: Sequencer
    identity: Identity
    catalogue: Catalogue
    config: Config
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def today(self) -> date:
        """The day."""
        return deadlines.local_date(self.now())

    async def calendar(self) -> Calendar:
        """Which days are worked."""
        async with self.pool.acquire() as connection:
            return (await loaded(connection)).calendar


Work = Callable[[Means], Awaitable[int]]
"""Does what is to be done by now; how much that was."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job with its titles: when it is due, and what does it."""

    zh: str
    en: str
    trigger: BaseTrigger
    work: Work


async def _remind(m: Means) -> int:
    hub, calendar = m.identity.hub, await m.calendar()
    return await noticing.remind(m.pool, m.lead, hub, m.today, m.config.schedule.remind, calendar)


async def _mark(m: Means) -> int:
    return await noticing.mark_overdue(m.pool, m.lead, m.identity.hub, m.today)


async def _escalate(m: Means) -> int:
    return await noticing.escalate(m.pool, m.lead, m.today, m.config.schedule.escalate, await m.calendar())


async def _tell_missing(m: Means) -> int:
    return await noticing.tell_missing(m.pool, m.lead, m.catalogue, m.today)


async def _issue(m: Means) -> int:
    return await dates.issue(
        m.pool,
        m.lead,
        m.sequencer,
        m.identity,
        m.catalogue,
        m.config.bulletins.legal_basis,
        m.config.schedule,
        m.today,
        await m.calendar(),
    )


async def _publish(m: Means) -> int:
    async with m.pool.acquire() as connection:
        return len(await entering.publish_shipped(connection, m.identity))


async def _move(m: Means) -> int:
    await moving.carry_out(m.pool, m.sequencer, m.catalogue)
    return await noticing.tell_moves(m.pool, m.lead, m.identity.hub)


async def _predict(m: Means) -> int:
    return await predicting.predict(m.pool, m.lead.hold, m.today)


async def _forget(m: Means) -> int:
    return sum(one.erased for one in await retention.run(m.pool, m.identity, m.catalogue, m.config.retention.months))


async def _tidy(m: Means) -> int:
    async with m.pool.acquire() as connection:
        await connection.execute(SQL["forget_old_work"], m.now() - KEPT)
    return 0


def _at(**when: int | str) -> CronTrigger:
    return CronTrigger(timezone=deadlines.SHANGHAI, **when)


JOBS: Mapping[str, Job] = {
    "reminders": Job("到期前提醒", "Reminders before due", _at(minute=5), _remind),
    "overdue": Job("超期标记", "Overdue marks", _at(minute=6), _mark),
    "escalations": Job("报告上级", "Escalations to the superior", _at(minute=7), _escalate),
    "bulletins": Job("按期发布通报与考核", "Bulletins on their dates", _at(hour=6, minute=30), _issue),
    "missing-bulletins": Job("未报信息通报提醒", "Missing information bulletins", _at(hour=8), _tell_missing),
    "calendar": Job("公布节假日安排", "Holiday arrangements", _at(hour=0, minute=10), _publish),
    "due-dates": Job("期限顺延与重算", "Due dates moved", IntervalTrigger(seconds=10), _move),
    "predictions": Job("超期预测", "Predictions", _at(hour=5), _predict),
    "retention": Job("按期删除案件内容", "Content erased in time", _at(hour=3, minute=30), _forget),
    "tidying": Job("清理旧记录", "Old records forgotten", _at(hour=4), _tidy),
}
