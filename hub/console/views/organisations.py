"""Organisations with the state of their keys, the people who look at the console, and the log's health."""

from datetime import UTC, datetime, timedelta

from hub.console.pages import Page, Section, Visit
from hub.console.tables import Cell, Table
from hub.console.words import T
from hub.organisations import Organisation
from hub.store import glimpse
from hub.store.queries import SQL
from keys.jwk import VerifyingKey
from protocols import envelope

ENDING = timedelta(days=30)


async def view(visit: Visit) -> Page:
    """`/console/organisations`."""
    now = datetime.now(UTC)
    columns = (
        T("机构", "Organisation"),
        T("编号", "Id"),
        T("上级", "Superior"),
        T("签名密钥", "Signing keys"),
        T("加密密钥", "Encryption keys"),
        T("密钥状态", "State of its keys"),
        T("代签网关", "Gateways"),
    )
    rows = [
        _row(visit, visit.directory.organisations[name], now)
        for name in sorted(visit.sight)
        if name in visit.directory.organisations
    ]
    return Page(
        [Section(table=Table("organisations", T("范围内的机构", "The organisations in your sight"), columns, rows))]
    )


def _row(visit: Visit, one: Organisation, now: datetime) -> list[Cell]:
    valid = [key for key in one.keys if key.removed is None and key.parsed.valid_at(now)]
    signing = [key for key in valid if isinstance(key.parsed, VerifyingKey)]
    ending = min((key.parsed.expires for key in valid if key.parsed.expires is not None), default=None)
    state: Cell = T("有效", "Valid")
    if one.successor is not None:
        state = T(f"已由 {visit.name(one.successor)} 承继", f"Succeeded by {visit.name(one.successor)}")
    elif not signing or len(signing) == len(valid):
        state = T("■ 缺有效密钥", "■ no valid key")
    elif one.compromised:
        state = T("▲ 曾有密钥泄露", "▲ a key leaked once")
    elif ending is not None and ending - now < ENDING:
        state = T(f"▲ {ending:%Y-%m-%d} 到期", f"▲ ends {ending:%Y-%m-%d}")
    gateways = [given.statement.gateway for given in one.delegations if given.in_force(now)]
    superior = visit.name(one.superior) if one.superior else None
    return [
        visit.name(one.id),
        one.id,
        superior,
        len(signing),
        len(valid) - len(signing),
        state,
        "、".join(map(visit.name, gateways)) or None,
    ]


async def people(visit: Visit) -> Page:
    """`/console/people`: for managers."""
    if visit.person.role != "manager":
        return Page([Section(text=[T("只有管理员可见。", "Only managers see this.")])])
    async with glimpse(visit.hub.pool) as connection:
        found = await connection.fetch(SQL["people"], visit.sight)
    columns = (
        T("账户", "Account"),
        T("姓名", "Name"),
        T("机构", "Organisation"),
        T("角色", "Role"),
        T("状态", "State"),
        T("通行密钥", "Passkeys"),
    )
    rows: list[list[Cell]] = [
        [
            row["name"],
            row["full_name"],
            visit.name(row["organisation"]),
            row["role"],
            T("停用", "Shut out")
            if row["disabled"]
            else T("在用", "In use")
            if row["joined"]
            else T("未加入", "Invited"),
            row["passkeys"],
        ]
        for row in found
    ]
    return Page([Section(table=Table("people", T("督导台账户", "People of the console"), columns, rows))])


async def log(visit: Visit) -> Page:
    """`/console/log`: the newest checkpoint, who cosigned, how far the figures have followed."""
    async with glimpse(visit.hub.pool) as connection:
        head = await connection.fetchrow(SQL["head"])
        followed = await connection.fetchval(SQL["course_head"])
        cosigned = await connection.fetch(SQL["cosigned_heads"])
    assert head is not None
    facts: list[list[Cell]] = [
        [T("日志", "Log"), head["origin"]],
        [T("条目数", "Entries"), head["size"]],
        [T("最近一条", "Newest entry"), envelope.rfc3339(head["at"])],
        [T("树根", "Root"), head["root"].hex()],
        [T("数字已跟到", "Figures follow to"), followed],
        [T("尚未跟进", "Not followed yet"), head["size"] - followed],
    ]
    seen: list[list[Cell]] = [
        [row["witness"], row["size"], head["size"] - row["size"], envelope.rfc3339(row["at"])] for row in cosigned
    ]
    witnesses = (T("见证方", "Witness"), T("已联署至", "Cosigned to"), T("其后条目", "Entries since"), T("时间", "At"))
    return Page(
        [
            Section(table=Table("log", T("日志状态", "The log's state"), (T("项目", "What"), T("值", "Value")), facts)),
            Section(
                T("见证", "Witnesses"),
                table=Table("witnesses", T("外部见证的联署", "Cosignatures from outside"), witnesses, seen),
            ),
        ],
        live=True,
    )
