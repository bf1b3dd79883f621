"""Whatever goes wrong in a command, as one line that says what to do next; loaded when something does."""

import os
import traceback
from typing import TYPE_CHECKING

from hub.commands.output import clean
from hub.errors import CATALOGUE
from keys.errors import Fault

if TYPE_CHECKING:
    from adapters.client import Refused

TRACEBACK = "XIEBAN_TRACEBACK"
# What the catalogue of problems has no words for: it happens on this side of the wire.
_WORDS = {
    "undecided": "枢纽没有应答，请核对 --hub 地址、确认枢纽在运行；重发同样的消息不会重复受理",
    "answer-invalid": "应答的不是枢纽，请核对 --hub 地址及中间的代理",
    "hub-address-invalid": "枢纽地址有误，应为 https://… 形式",
    "certificate-unusable": "证书文件不能使用，应为 PEM，含证书链与未加密的私钥",
    "delivery-invalid": "枢纽交付的消息不可信，请联系枢纽运行方",
    "receipt-invalid": "回执无效",
    "mailbox-end-invalid": "这不是枢纽关于收件箱到此为止的签名",
    "log-unreachable": "日志读不到，请核对 --hub；条目只对审计方开放",
    "checkpoint-invalid": "日志与其签名不符，请保存证据并联系枢纽运行方",
    "cursor-invalid": "游标文件不能使用",
    "keystore-fault": "密钥库不能使用，xieban keys list 查看，keys new 新建",
    "seal-invalid": "密封部分不能处理",
    "config-invalid": "配置文件有误，xieban doctor --config FILE 说怎样改",
    "calendar-invalid": "节假日安排有误，未作更改",
    "erasure-refused": "没有删除任何内容",
    "import-invalid": "机构文件有误，未导入任何机构",
    "port-in-use": "端口已被占用，请换一个 --port",
    "telemetry-absent": "缺少附加包：pip install 'xieban[telemetry]'，或去掉 [telemetry] endpoint",
    "data-directory-busy": "数据目录正被另一个枢纽使用，请先停止它，或换一个 --data",
    "hub-key-gone": "枢纽有日志，签名密钥却不在：从备份放回，不能新建",
    "hub-key-locked": "枢纽密钥的口令不在或不对，把另存的那份放回去",
    "database-elsewhere": "数据库是空的。枢纽的日志若在别的数据库里：改回 [database] url，或照 docs/backup.md 迁移",
    "database-absent": "数据目录里没有数据库；用自有 PostgreSQL 的，请给 --config",
    "data-directory-absent": "该目录没有枢纽数据，请先 xieban serve --data DIR",
    "database-unavailable": "数据库不可用，请查看数据目录中的 postgres.log",
    "migration-mismatch": "数据库由别的版本建成，请换用相应的版本",
    "schema-outdated": "数据库是较旧版本的，请先 xieban store migrate，或启动枢纽",
    "no-cluster": "数据库不是可供分布的 Citus 集群，未作更改",
    "laid-out-otherwise": "有表已按别的方式分布，未作更改",
    "spreading-failed": "Citus 未能完成，已完成的部分保留，可再次执行",
    "downgrade-refused": "不能退回该版本，未作更改",
    "catalogue-invalid": "协议目录有误",
    "protocol-name-unfit": "协议没有建立：名称用小写字母、数字、连字符，标题一行，文件夹须是新的",
    "input-unreadable": "输入不能读取",
    "already-there": "已经存在，不会覆盖，未作更改",
    "adapter-config-invalid": "适配器的配置有误，请对照 docs/adapters 修改 [adapters.NAME]",
    "adapter-unknown": "没有这种适配器，或缺少它所需的附加包，见 xieban adapter list",
    "dead-letter-unknown": "没有这封死信，见 xieban adapter dead-letters",
    "desk-store-invalid": "办案台的存储不能使用",
    "conformance-not-running": "被测系统或一次性枢纽没有运行",
    "conformance-keys": "公钥文件须有一把验签的密钥和一把密封用的密钥",
    "address-unavailable": "不能在此地址监听，请换一个 --port 或 --host",
    "sandbox-running": "这个文件夹的沙箱正在运行，请先停止它，或换一个 --out",
    "conformance-report-invalid": "这不是符合性报告",
    "badge-invalid": "徽章无效",
    "not-conforming": "有“必须”项未通过或未测，不签发徽章",
    "vouching-invalid": "担保或申请无效",
    "pin-invalid": "目录快照没有钉住，见 xieban directory pin",
    "snapshot-invalid": "机构目录的签名快照无效",
    "snapshot-unreachable": "机构目录的签名快照取不到",
    "succession-invalid": "不能这样承继，未作更改",
    "organisation-id-malformed": "机构编号应为区划代码、横线、部门，如 411002-health",
    "division-unknown": "没有这个区划代码",
    "department-unknown": "没有这个部门代码",
    "evidence-unreadable": "证据文件不能读取",
    "attachment-unreadable": "附件不能读取",
    "backup-failed": "备份没有做成，原有备份未动",
    "backup-invalid": "不是完整且由枢纽签名的备份，或密钥打不开它",
    "dump-failed": "PostgreSQL 未能导出或导入数据库",
    "restore-refused": "没有恢复，未作更改",
    "restore-unfinished": "此处的恢复没有完成，请再次执行 xieban restore",
    "folder-taken": "这个目录另有用途，枢纽不能建在其中，请核对 --data",
    "hub-moved": "枢纽已迁往别处，不能在此启动",
    "log-not-current": "数据库比已发布的日志旧：请换用更新的数据库；确实没有，用 xieban restore --not-current",
    "lineage-invalid": "枢纽不能证明其日志接续原来的日志，请保存证据并联系枢纽运行方",
    "log-set-back": "枢纽丢失了已联署的条目：核实后用 --set-back-to 接受新名称",
    "not-a-simulation": "这不是模拟的目录，请先 xieban simulate organisations",
    "organisations-unknown": "枢纽不认识模拟中的机构，请先导入其机构文件",
    "usage": "参数有误，见 --help",
}
# Of a key store that is as it should be, nothing is to be listed or made anew.
_PASSPHRASES = {
    "no-passphrase": "没有口令，请设 XIEBAN_PASSPHRASE 或用 --passphrase-file",
    "passphrase": "口令不对，或密钥文件被改动过",
}


def line(error: BaseException) -> str:
    """The one line for `error`, and below it one for each finding where it has several.

    With XIEBAN_TRACEBACK set, where it happened as well.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = "xieban: " + _one_line(_words(error))
    problems = error.data.get("problems") if isinstance(error, Fault) else None
    if isinstance(error, Fault) and isinstance(problems, list) and len(problems) > 1:
        lines = [f"xieban: {_chinese(error.code)} · {error.code}, {len(problems)} 处 findings:", *map(str, problems)]
        text = "\n  ".join(map(_one_line, lines))
    if os.environ.get(TRACEBACK):
        text += "\n" + "".join(traceback.format_exception(error))
    return text


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())


def _words(error: BaseException) -> str:
    if isinstance(error, Fault):
        return _fault(error)
    import aiohttp
    import asyncpg

    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        return f"数据库出错，请查看 postgres.log 或配置的数据库 · database: {error}"
    if isinstance(error, aiohttp.ClientError):
        return f"网络出错，请核对 --hub · network: {str(error) or type(error).__name__}"
    if isinstance(error, OSError):
        return _system(error)
    if isinstance(error, KeyboardInterrupt):
        return "已中断 · interrupted"
    where = f"设 {TRACEBACK}=1 再试可见详情 · set {TRACEBACK}=1 to see where"
    return f"内部错误 · internal error: {type(error).__name__}: {error}; {where}"


def _fault(fault: Fault) -> str:
    if fault.code == "refused":
        from adapters.client import Refused

        if isinstance(fault, Refused):
            return _refused(fault)
    said = _PASSPHRASES.get(str(fault.data.get("check"))) or _chinese(fault.code)
    return f"{said} · {fault.code}: {fault.detail}{_passing_over(fault)}"


def _refused(refusal: "Refused") -> str:
    problem = refusal.data.get("problem")
    code = refusal.reason
    detail = refusal.detail if not isinstance(problem, dict) else str(problem.get("detail", refusal.detail))
    if refusal.detail != f"/problems/{code}: {detail}":
        detail = refusal.detail
    actions = problem.get("allowed_actions") if isinstance(problem, dict) else None
    named = [str(action.get("message")) for action in actions if isinstance(action, dict)] if actions else []
    allowed = f"; 现在可发 · allowed now: {', '.join(named)}" if named else ""
    return f"枢纽拒绝：{_chinese(code) or '见详情'} · refused, {code}: {detail}{allowed}"


def _passing_over(fault: Fault) -> str:
    """How to read on behind a message that can't be read."""
    at = fault.data.get("position")
    return f" (位置 position {at}; 越过它 · read on with --after {at})" if isinstance(at, int) else ""


def _chinese(code: str) -> str:
    entry = CATALOGUE.get(code)
    return _WORDS.get(code) or (entry.zh if entry else "出错")


def _system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"系统拒绝，请核对路径与权限 · {where}{error.strerror or str(error) or type(error).__name__}"
