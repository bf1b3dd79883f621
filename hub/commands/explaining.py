"""Whatever goes wrong in a command, as one line that says what to do next; loaded when something does."""

import errno
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
WORDS = {
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
    "keystore-fault": "密钥库不能使用",
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
    "database-unavailable": "数据库不可用",
    "migration-mismatch": "数据库由较新的版本建成，请升级 xieban",
    "schema-outdated": "数据库是较旧版本的，请先 xieban store migrate，或启动枢纽",
    "no-cluster": "数据库不是可供分布的 Citus 集群，未作更改",
    "laid-out-otherwise": "有表已按别的方式分布，未作更改",
    "spreading-failed": "Citus 未能完成，已完成的部分保留，可再次执行",
    "downgrade-refused": "不能退回该版本，未作更改",
    "catalogue-invalid": "协议目录有误",
    "protocol-name-unfit": "协议没有建立：名称用小写字母、数字、连字符，标题一行，文件夹须是新的",
    "input-unreadable": "输入不能读取，或其中没有所要的",
    "already-there": "已经存在，不会覆盖，未作更改",
    "adapter-config-invalid": "适配器的配置有误，请对照 docs/adapters 修改 [adapters.NAME]",
    "adapter-running": "这个存储已有适配器在用：先停止后面说的进程，或另指定 store",
    "adapter-keys-not-taken": "枢纽不认这些密钥属于该机构，请核对 keys 与 organisation，或请枢纽运行方导入公钥",
    "adapter-unknown": "没有这种适配器，见 xieban adapter list",
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
    "backup-invalid": "不是完整的、由枢纽签名的备份，请换用另一份",
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
    "address-unusable": "不能在此地址监听",
    "answer-unreadable": "对方平台的应答读不懂",
    "as4-refused": "AS4 接入点拒收",
    "bulletin-too-large": "通报太大，请选短一些的期间",
    "client-closed": "客户端已关闭，不能再用",
    "demo-not-proven": "演示没有得到应有的证明，请保存输出并报告",
    "desk-backup-invalid": "这不是办案台的备份",
    "desk-daily-cap": "今天发往该机构的已达上限，其余请明天签发",
    "desk-digest-not-delivered": "每日摘要没有送出",
    "desk-draft-changed": "草稿已被别处改动或发出，请再看一遍",
    "desk-enclosure-invalid": "附件不能使用",
    "desk-joining-invalid": "加入枢纽的材料有误",
    "desk-keys-invalid": "办案台不能使用这些密钥",
    "desk-login-refused": "账户或口令不对",
    "desk-setting-invalid": "办案台的设置有误",
    "desk-store-locked": "办案台的存储未解锁，或口令不对",
    "export-contradicted": "导出的目录与本日志矛盾，未作更改：请核对目录，查明原因前保存两者",
    "export-impossible": "不能导出到该目录",
    "expression-invalid": "映射的表达式有误",
    "fault": "未能完成",
    "file-gone": "文件已不在",
    "file-trouble": "文件不能处理",
    "hub-not-running": "演示的枢纽没有运行",
    "invalid": "消息不符合规定",
    "log-rewritten": "日志的历史被改写，请保存证据并联系枢纽运行方",
    "login-refused": "账户或口令不对",
    "logins-too-many": "登录尝试太多，请稍后再试",
    "neighbour-invalid": "邻接枢纽的申请或担保不能接受，未作更改",
    "not-one-moment": "集群的各节点没能读到同一时刻，请再试",
    "not-the-demos-directory": "该目录不是演示的，请换一个 --data",
    "number-taken": "这个案件编号已属于另一案件",
    "officer-invalid": "人员的信息有误，未作更改",
    "partner-rejected": "对方不收",
    "partner-unreachable": "对方没有应答，稍后会再试",
    "person-invalid": "人员的信息有误，未作更改",
    "proof-invalid": "证明不成立",
    "refused": "枢纽拒绝",
    "root-invalid": "快照的根不能这样签名，未作更改",
    "unmapped": "映射没有涵盖这条记录",
    "wanted-invalid": "总线上的事件不能使用",
    "witness-memory-unreadable": "见证的记录读不到，请核对 --state",
    "workbook-invalid": "工作簿不能使用",
}
# Where one code has causes that need different advice: by the code, and the `check` that the fault carries.
CAUSES = {
    ("keystore-fault", "no-passphrase"): "没有口令，请设 XIEBAN_PASSPHRASE 或用 --passphrase-file",
    ("keystore-fault", "passphrase"): "口令不对，或密钥文件被改动过",
    ("keystore-fault", "too-short"): "口令太短，至少 8 个字符",
    ("keystore-fault", "not-one-line"): "口令文件应是 UTF-8 文本，只有口令一行",
    ("keystore-fault", "not-there"): "没有这个文件或目录，请核对路径",
    ("keystore-fault", "system"): "系统不让读写，请核对路径、权限与磁盘",
    ("keystore-fault", "open"): "别人也能读到，请照后面的命令收紧权限",
    ("keystore-fault", "owner"): "它属于别的用户，请以该用户执行，或用 chown 更改",
    ("keystore-fault", "kind"): "它不是这里要的文件或目录，请核对路径",
    ("keystore-fault", "around"): "这是枢纽的数据目录，不是密钥库：密钥库是其中的 keys",
    ("keystore-fault", "damaged"): "密钥文件已损坏，请用另存的那份换回",
    ("keystore-fault", "another"): "密钥文件与其文件名不符，请用另存的那份换回",
    ("keystore-fault", "listing"): "公钥清单 jwks.json 与私钥文件不符，请把另存的那份换回",
    ("keystore-fault", "none-valid"): "没有此刻有效的签名密钥：xieban keys list 查看，keys new 新建",
    ("config-invalid", "unreadable"): "配置文件读不到，请核对 --config 的路径与权限",
    ("config-invalid", "another-hub"): "数据库是另一枢纽的，请核对 [hub] id 与 [database] url",
    ("config-invalid", "another-key"): "数据目录中的密钥不是签这份日志的：把原来的 keys 与口令整个放回，取自备份",
    ("config-invalid", "extra"): "缺少附加包，请照后面的命令安装",
    ("address-unusable", "host"): "不能在此地址监听：它不是本机的地址，请更改后面所说的一项",
    ("address-unusable", "port"): "没有权限使用这个端口，请换一个 1024 以上的 --port",
    ("database-unavailable", "refused"): "数据库连不上：请核对它在运行，及 [database] url 的地址、账户与口令",
    ("database-unavailable", "embedded"): "内置数据库没有应答，请查看数据目录中的 postgres.log",
    ("database-unavailable", "package"): "没有安装内置数据库：安装它，或在 [database] url 指明自有的 PostgreSQL",
    ("database-unavailable", "not-made"): "内置数据库建不成，原因见后",
    ("database-unavailable", "sockets"): "这个文件夹不只有本枢纽能用，请查清是谁的，再删除",
    ("migration-mismatch", "altered"): "安装的程序文件被改动过，请重新安装同一版本",
    ("downgrade-refused", "in-use"): "数据库还有别的连接，请先停止使用它的所有枢纽",
    ("catalogue-invalid", "gone"): "有案件所用的协议不在目录里，请把它放回 [protocols]",
    ("backup-invalid", "recipient"): "这不是备份公钥，应为 age1… 一行，见 xieban backup key",
    ("backup-invalid", "key-unreadable"): "备份私钥文件读不到，请核对 --key 的路径与权限",
    ("backup-invalid", "passphrase"): "口令打不开备份私钥，或私钥文件已损坏",
    ("backup-invalid", "no-key"): "--key 不是备份私钥文件，应为 xieban backup key 所建的那份",
    ("backup-invalid", "file-unreadable"): "备份文件读不到，请核对路径与权限",
    ("backup-invalid", "sealed"): "这把私钥打不开它：不是加密给这把的，或不是备份，或已损坏",
    ("backup-invalid", "signer"): "不是所给枢纽公钥签的备份，请核对 --hub-key 与备份文件",
    ("backup-invalid", "format"): "备份由别的版本所做，请换用相应的版本",
    ("backup-invalid", "attachment"): "缺附件：备份里没有，配置的存储里也没有，请核对 [attachments] store",
    ("restore-refused", "no-passphrase"): "缺枢纽密钥的口令：它不在备份里，请先把另存的那份放回",
    ("restore-refused", "passphrase"): "口令不是备份中枢纽密钥的，请放回另存的那份",
    ("restore-refused", "another-hub"): "这是另一枢纽的备份，请核对备份文件与 --config 的 [hub] id",
    ("restore-refused", "not-final"): "不是用 --final 做的最后一份备份，不能用 --moved",
    ("seal-invalid", "recipient"): "不是密封给手头这些密钥的，请核对 --keys",
    ("seal-invalid", "absent"): "这条消息没有密封部分",
    ("pin-invalid", "elsewhere"): "这个文件夹钉住的是另一枢纽的目录，请换一个文件夹",
    ("pin-invalid", "system"): "目录快照的文件夹不能读写，请核对路径与权限",
    ("adapter-unknown", "extra"): "缺少这种适配器所需的附加包，请照后面的命令安装",
    ("adapter-config-invalid", "extra"): "缺少附加包，请照后面的命令安装",
    ("adapter-config-invalid", "unreadable"): "配置文件读不到，请核对 --config 的路径与权限",
    ("adapter-config-invalid", "no-section"): "配置文件里没有这个适配器，请核对名称与 --config",
    ("adapter-config-invalid", "store"): "适配器的存储不能使用，请核对 store 的路径与权限",
    ("adapter-config-invalid", "listen"): "不能在 listen 的地址监听，请核对地址与端口",
    ("usage", "no-passphrase"): "没有备份私钥的口令，请设 XIEBAN_BACKUP_PASSPHRASE 或用 --passphrase-file",
    ("usage", "no-anchor"): "配置没有指明信任锚，请设 [trust] anchor 与 anchor_jwks",
    ("usage", "for-ever"): "配置为永久保存，没有可删的：请设 [retention] months，或用 --months",
    ("usage", "busy"): "有人正在读这些消息，请稍后再试",
}
_SYSTEM = {
    errno.ENOENT: "没有这个文件或目录，请核对路径",
    errno.ENOSPC: "磁盘已满",
    errno.EMFILE: "打开的文件太多，请提高 ulimit -n",
}


def line(error: BaseException) -> str:
    """The one line for `error`, and below it one for each finding where it has several.

    With XIEBAN_TRACEBACK set, where it happened as well.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = "xieban: " + _one_line(words(error))
    problems = error.data.get("problems") if isinstance(error, Fault) else None
    if isinstance(error, Fault) and isinstance(problems, list) and len(problems) > 1:
        lines = [f"xieban: {chinese(error.code)} · {error.code}, {len(problems)} 处 findings:", *map(str, problems)]
        text = "\n  ".join(map(_one_line, lines))
    if os.environ.get(TRACEBACK):
        text += "\n" + "".join(traceback.format_exception(error))
    return text


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())


def words(error: BaseException) -> str:
    """What went wrong in both languages, Chinese first."""
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
    said = fault.data.get("zh") or CAUSES.get((fault.code, str(fault.data.get("check")))) or chinese(fault.code)
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
    return f"枢纽拒绝：{chinese(code) or '见详情'} · refused, {code}: {detail}{allowed}"


def _passing_over(fault: Fault) -> str:
    """How to read on behind a message that can't be read."""
    at = fault.data.get("position")
    return f" (位置 position {at}; 越过它 · read on with --after {at})" if isinstance(at, int) else ""


def chinese(code: str) -> str:
    """What the code of a fault means, whatever its cause."""
    entry = CATALOGUE.get(code)
    return WORDS.get(code) or (entry.zh if entry else "出错")


def _system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    said = _SYSTEM.get(error.errno or 0, "系统拒绝，请核对路径与权限")
    if isinstance(error, ConnectionError | TimeoutError):
        said = "连接不上，或中途断开：数据库或枢纽可能停了"
    return f"{said} · {where}{error.strerror or str(error) or type(error).__name__}"
