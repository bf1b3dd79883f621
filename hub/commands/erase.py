"""`xieban erase`: what was said in a case is taken away for good, on a legal request."""

from typing import Annotated

import typer

from hub.commands import beside
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, say
from hub.erasure import again, erasing
from hub.erasure.erasing import REASONS, Erasing, Request
from hub.identity import establish, hub_key
from hub.store import Connection

EXAMPLES = examples(
    "xieban erase 019aa5b0-7c3e-7b10-8a44-0c5d9e7f3b21 --reason erasure-request --legal-basis npc-91-2021:47"
    " --reference 豫个保〔2026〕7号 --dry-run --data DIR",
    "xieban erase 019aa5b0-7c3e-7b10-8a44-0c5d9e7f3b21 --reason court-order --legal-basis npc-91-2021:47"
    " --reference 豫01民终7号 --data DIR",
)
_CODES = "、".join(f"{code} {zh}" for code, (zh, _) in REASONS.items() if code != "retention")


def erase(
    case: Annotated[str, typer.Argument(metavar="CASE", help="案件编号。 The case.")],
    data: Data,
    reason: Annotated[str, typer.Option("--reason", metavar="CODE", help=f"理由：{_CODES}。 Why, by its code.")],
    legal_basis: Annotated[
        str, typer.Option("--legal-basis", metavar="ID:ARTICLE", help="依据的条文。 The provision it rests on.")
    ],
    reference: Annotated[str, typer.Option("--reference", metavar="NUMBER", help="文号。 The order's file number.")],
    although_open: Annotated[
        bool, typer.Option("--although-open", help="案件未办结也删除。 Although the case is not ended.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只看不删。 Only say what would be erased.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """依法删除一件案件的全部内容，不可恢复；理由载入日志。 Erase all that was said in a case, for a logged reason.

    签名、回执、日志的证明和收件箱中的位置都保留；取消息者得到 410。备份中的内容随备份到期而消失。

    For good. Receipts, proofs and places in mailboxes stay; who asks for a message gets 410. Backups expire.
    """
    settings = beside.existing(data, config)
    request = Request(case, reason, legal_basis, reference, although_open)

    async def work(connection: Connection) -> Erasing:
        catalogue = settings.catalogue()
        if dry_run:
            return await erasing.look(connection, catalogue, request)
        identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
        await erasing.look(connection, catalogue, request)
        again.note(data.resolve(), request)
        done = await erasing.erase(connection, identity, catalogue, request)
        await connection.execute("VACUUM message")
        return done

    found = beside.run(data, config, work)
    if json:
        as_json(found)
        return
    done = "将删除 · would be erased" if dry_run else "已删除 · erased"
    say(f"{done}: {found.messages} 条消息 · messages, {found.bytes} B, {found.attachments} 个附件 · attachments")
    if found.entry is not None:
        say(f"日志条目 · log entry: {found.entry}")
    if found.elsewhere:
        say(f"另有副本，由其自行删除 · copies that are theirs to erase: {', '.join(found.elsewhere)}")
