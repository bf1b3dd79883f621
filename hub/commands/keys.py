"""`xieban keys`: a partner's key store, made and looked at."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from hub.commands import files
from hub.commands import options as shared
from hub.commands.faults import InputUnreadable, UsageFault
from hub.commands.help_text import examples
from hub.commands.options import DEFAULT_PATIENCE, KEYS, As, CompromisedSince, Hub, Json, Passphrase, Patience
from hub.commands.output import as_json, remark, say, table
from hub.commands.partner import Partner, connected, passphrase_of
from hub.commands.thumbprints import OfKeys
from keys import jwk
from keys.algorithms import DEFAULT_ALGORITHMS
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey, VerifyingKey
from keys.keystore import KeyStore
from protocols import delegation, revocation, vouching
from protocols.departments import parse_organisation_id
from protocols.entries import Delegated, DelegationEnded, Entry, KeyAdded, KeyRemoved, Succeeded
from protocols.receipt import Proven
from protocols.vouching import Constraints, Described

app = typer.Typer(
    no_args_is_help=True,
    help="密钥：私钥加密保存在本机构，只交出公钥。 Keys: private ones stay here, encrypted; hand out the public ones.",
)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class RoleName(StrEnum):
    """What an organisation is to the hub."""

    BUREAU = "bureau"
    PARTNER = "partner"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"


Store = Annotated[
    Path, typer.Option("--keys", envvar=KEYS, metavar="DIR", help="密钥库目录。 The key store's directory.")
]
Organisation = Annotated[
    str | None,
    typer.Option(
        "--organisation", metavar="ID", help="输出可导入的机构记录，如 411002-health。 Print a record ready for import."
    ),
]
NameZh = Annotated[str | None, typer.Option("--name-zh", metavar="NAME", help="机构中文名。 Its Chinese name.")]
NameEn = Annotated[str | None, typer.Option("--name-en", metavar="NAME", help="机构英文名。 Its English name.")]
Superior = Annotated[str | None, typer.Option("--superior", metavar="ID", help="上级机构。 The organisation above it.")]
Role = Annotated[
    list[RoleName] | None,
    typer.Option("--role", help="角色，可重复，默认 bureau。 Its roles; may be repeated."),
]


@app.command(
    epilog=examples(
        "xieban keys new --keys ~/xieban-keys",
        "xieban keys new --keys ~/xieban-keys --organisation 411002-health"
        " --name-zh 魏都区卫生健康委员会 --name-en 'Weidu Health Commission' > me.json",
        "xieban organisations import me.json --data DIR",
    )
)
def new(
    keys: Store,
    alg: Annotated[Literal["Ed25519", "ES256", "SM2"], typer.Option(help="签名算法。 Of the signing key.")] = "Ed25519",
    curve: Annotated[Literal["X25519", "P-256"], typer.Option(help="加密曲线。 Of the encryption key.")] = "X25519",
    days: Annotated[
        int | None, typer.Option(min=1, max=3660, help="有效天数，默认不限。 Days of validity, else without end.")
    ] = None,
    organisation: Organisation = None,
    name_zh: NameZh = None,
    name_en: NameEn = None,
    superior: Superior = None,
    role: Role = None,
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> None:
    """新建一个签名密钥和一个加密密钥。 Make a signing key and an encryption key.

    标准输出是公钥集（JWKS），或可导入的机构记录；再次执行即为轮换，旧公钥仍在其中。

    Standard output is the public JWKS, or with --organisation a record for `organisations import`.

    Run it again to rotate: the older public keys stay in it.
    """
    store = KeyStore(keys)
    store.create()
    passphrase = passphrase_of(passphrase_file, new=not store.kids())
    now = datetime.now(UTC).replace(microsecond=0)
    until = now + timedelta(days=days) if days else None
    describe = _description(store, organisation, name_zh, name_en, superior, role)
    for made in (
        typeable(lambda: jwk.generate_signing(alg, now, until)),
        typeable(lambda: jwk.generate_encryption(curve, now, until)),
    ):
        store.add(made, passphrase)
        if not json:
            remark(f"{_use(made.public)} {made.alg} {made.kid}")
    if not json:
        remark(
            f"私钥已加密保存于 {keys}，请妥善保管口令 · the private keys are in {keys}, encrypted; keep the passphrase"
        )
    as_json(describe())


@app.command(
    cls=OfKeys,
    epilog=examples(
        "xieban keys retire --keys ~/xieban-keys --organisation 411002-health"
        " --name-zh 魏都区卫生健康委员会 --name-en 'Weidu Health Commission' > me.json",
        "xieban keys retire KID --keys ~/xieban-keys > public.jwks",
        "xieban organisations import me.json --data DIR",
    ),
)
def retire(
    keys: Store,
    kids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KID]...", help="缺省为最新一对以外的全部。 All but the newest pair by default."),
    ] = None,
    organisation: Organisation = None,
    name_zh: NameZh = None,
    name_en: NameEn = None,
    superior: Superior = None,
    role: Role = None,
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> None:
    """旧密钥到此为止，不再用来签名和加密。 Let old keys end now; print what is left.

    私钥仍在库中，旧消息照样能读。输出与 keys new 相同，但不含停用的；导入后枢纽随即停用它们。

    They stay in the store, for reading. What is printed is as of `keys new`, without them: imported, it has the hub
    take them out of use.
    """
    store, now = KeyStore(keys), datetime.now(UTC).replace(microsecond=0)
    describe = _description(store, organisation, name_zh, name_en, superior, role)
    valid = {key.kid: key for key in store.public_keys() if key.valid_at(now)}
    if unknown := sorted(set(kids or ()) - valid.keys()):
        raise InputUnreadable(f"{keys} has no key in use that is {unknown[0]}; see xieban keys list")
    chosen = kids or sorted(valid.keys() - _newest(list(valid.values())))
    if not any(isinstance(key, VerifyingKey) for kid, key in valid.items() if kid not in chosen):
        raise UsageFault("no signing key would be left; make a new one first: xieban keys new")
    if chosen:
        store.retire(chosen, passphrase_of(passphrase_file), now)
    if not json:
        for kid in chosen:
            remark(f"已停用 · retired {_use(valid[kid])} {kid}")
        if not chosen:
            remark("没有可停用的旧密钥 · there is no old key to retire")
    as_json(describe())


@app.command("list", epilog=examples("xieban keys list --keys ~/xieban-keys", "xieban keys list --relist"))
def list_(
    keys: Store,
    relist: Annotated[
        bool, typer.Option("--relist", help="先由私钥重建 jwks.json，要口令。 Make jwks.json anew from the keys first.")
    ] = False,
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> None:
    """列出密钥，不需要口令。 List the keys; needs no passphrase."""
    if relist:
        KeyStore(keys).relist(passphrase_of(passphrase_file))
    now = datetime.now(UTC)
    rows = [_row(key, now) for key in KeyStore(keys).public_keys()]
    if json:
        as_json(rows)
        return
    columns = (
        "编号（指纹）kid",
        "用途 use",
        "算法 alg",
        "曲线 crv",
        "生效 not before",
        "失效 expires",
        "现在有效 valid now",
    )
    table(columns, ((*list(row.values())[:-1], "是 yes" if row["valid"] else "否 no") for row in rows))


@app.command(
    cls=OfKeys,
    epilog=examples(
        "xieban keys show --keys ~/xieban-keys > public.jwks",
        "xieban keys show KID --keys ~/xieban-keys",
        "xieban keys show --keys ~/xieban-keys --organisation 411002-health --name-zh NAME --name-en NAME > me.json",
    ),
)
def show(
    keys: Store,
    kid: Annotated[str | None, typer.Argument(metavar="[KID]", help="只看这个密钥。 Only this key.")] = None,
    organisation: Organisation = None,
    name_zh: NameZh = None,
    name_en: NameEn = None,
    superior: Superior = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """输出公钥：公钥集、单个公钥或机构记录。 Print public keys: the set, one key, or a record for import."""
    store = KeyStore(keys)
    if kid is None:
        as_json(_description(store, organisation, name_zh, name_en, superior, role)())
        return
    found = [key for key in store.public_keys() if key.kid == kid]
    if not found:
        raise InputUnreadable(f"{keys} has no key {kid}; see xieban keys list")
    as_json(found[0].jwk)


@app.command(
    epilog=examples(
        "xieban keys watch --keys ~/xieban-keys --hub http://hub:8420 --as 411002-health",
    )
)
def watch(hub: Hub, organisation: As, keys: Store, patience: Patience = DEFAULT_PATIENCE, json: Json = False) -> None:
    """核对日志中以本机构名义登记的密钥是否都是自己的。 Is every key that the log gives to us our own?

    有不属于本密钥库的密钥时以状态码 1 退出：可能有人冒用，请立即联系运行方。

    Status 1 where the log holds a key for this organisation that is not in this store: tell the operator at once.
    """
    from adapters.client import Client
    from adapters.client import Patience as PatienceOf

    own = {key.kid for key in KeyStore(keys).public_keys()}

    async def work() -> list[Proven]:
        async with Client(hub, organisation, jwk.generate_signing(), patience=PatienceOf(within=patience)) as client:
            return await client.key_events(organisation)

    events = [(proven.index, proven.entry) for proven in asyncio.run(work())]
    rows = [row for index, entry in events if (row := _watched(index, entry, own)) is not None]
    foreign = [row for row in rows if not row["ours"]]
    if json:
        as_json({"foreign": len(foreign), "events": rows})
    else:
        columns = ("编号（指纹）kid", "事件 event", "时间 at", "日志 entry", "本机构 ours")
        table(columns, ((r["kid"], r["event"], r["at"], r["entry"], "是 yes" if r["ours"] else "否 NO") for r in rows))
        say(
            "都是本机构的 · all ours" if not foreign else f"{len(foreign)} 个不是本机构的 · not ours: tell the operator"
        )
    if foreign:
        raise typer.Exit(1)


@app.command(
    cls=OfKeys,
    epilog=examples(
        "xieban organisations show 411002-health --hub http://hub:8420",
        "xieban keys revoke 411002-health KID --keys K --hub http://hub:8420 --as 411000-supervision",
        "xieban keys revoke 411002-health KID --compromised-since 2026-11-20T08:00:00+08:00",
    ),
)
def revoke(
    target: Annotated[
        str, typer.Argument(metavar="ORGANISATION", help="哪个机构的密钥。 The organisation whose key it is.")
    ],
    kid: Annotated[str, typer.Argument(metavar="KID", help="密钥编号。 The key.")],
    hub: Hub,
    organisation: As,
    keys: Store,
    since: CompromisedSince = None,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """立即停用下级机构（或本机构）的一把密钥，不需要其私钥。 Take a subordinate's key, or an own one, out of use.

    用于电脑丢失、失窃：上级以自己的签名停用，枢纽当即拒收，签名载入日志。写明泄露时刻的，其后收下的消息标为存疑。

    签名密钥和加密密钥分别停用。

    For a machine that was lost or stolen: the superior's own signature does it, and stands in the log.

    With a time, what was taken from then on is marked as suspect. Signing and encryption key are revoked one by one.
    """
    from adapters.client import Revoked

    moment = shared.leaked_since(since)

    async def work() -> Revoked:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            return await client.revoke_key(target, kid, moment)

    done = asyncio.run(work())
    entry = done.removed.index
    if json:
        as_json({"organisation": target, "kid": kid, "new": done.new, "entry": entry})
    else:
        say(f"{'已停用 · revoked' if done.new else '此前已停用 · was revoked before'}: {kid} · 日志 log entry {entry}")


@app.command(
    epilog=examples(
        "xieban keys apply --keys ~/xieban-keys --organisation 411002-health --superior 411000-supervision"
        " --name-zh 魏都区卫生健康委员会 --name-en 'Weidu Health Commission' > weidu.jwt",
    )
)
def apply(
    keys: Store,
    organisation: Annotated[str, typer.Option("--organisation", metavar="ID", help="本机构。 This organisation.")],
    superior: Annotated[str, typer.Option("--superior", metavar="ID", help="为其担保的上级。 Who is to vouch for it.")],
    name_zh: Annotated[str, typer.Option("--name-zh", metavar="NAME", help="中文名。 Its Chinese name.")],
    name_en: Annotated[str, typer.Option("--name-en", metavar="NAME", help="英文名。 Its English name.")],
    role: Role = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="申请有效天数。 Days the application is valid.")] = 90,
    passphrase_file: Passphrase = None,
) -> None:
    """用自己的密钥签一份加入申请，交给上级。 Sign an application with one's own key, for the superior to vouch for."""
    parse_organisation_id(organisation)
    parse_organisation_id(superior)
    store, now = KeyStore(keys), datetime.now(UTC)
    signing = store.signing_key(passphrase_of(passphrase_file), now)
    described = Described(vouching.Name(name_zh, name_en), [one.value for one in role or [RoleName.BUREAU]])
    say(vouching.apply(organisation, described, superior, store.public_keys(), signing, now, days))


@app.command(
    epilog=examples(
        "xieban keys vouch weidu.jwt --keys K --as 411000-supervision --chain xuchang.chain > weidu.chain",
        "xieban keys vouch xuchang.jwt --keys K --as 410000-supervision --division 4110 > xuchang.chain",
    )
)
def vouch(
    application: Annotated[str, typer.Argument(metavar="APPLICATION", help="下级的申请。 The application.")],
    organisation: As,
    keys: Store,
    chain: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="本机构自己的担保链；信任锚没有。 One's own chain, if any."),
    ] = None,
    division: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="只担保此代码开头的区划。 Only divisions that begin so.")
    ] = None,
    department: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="只担保这些部门。 Only these departments.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=0, max=7, help="其下至多几级可再担保。 How many may vouch further below.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="担保天数。 Days it holds.")] = 365,
    passphrase_file: Passphrase = None,
) -> None:
    """为下级的申请担保，输出交给枢纽的担保链。 Vouch for a subordinate's application; prints its chain for the hub.

    先向申请机构当面或电话核对密钥编号（xieban keys list）。

    First compare the keys' ids with the applicant by another way than the one the file came by (xieban keys list).
    """
    now = datetime.now(UTC)
    asked = files.content(application).decode("utf-8", "replace").strip()
    signing = KeyStore(keys).signing_key(passphrase_of(passphrase_file), now)
    limits = Constraints(steps, division or None, department or None)
    statement = vouching.vouch(organisation, asked, signing, limits, now, days)
    above = files.content(chain).decode("utf-8", "replace").split()[1:] if chain else []
    for one in (asked, statement, *above):
        say(one)


Made = TypeVar("Made", SigningKey, DecryptionKey)


def typeable(generate: Callable[[], Made]) -> Made:
    """A key whose thumbprint can be typed as an argument: one in 64 begins with a hyphen, and is drawn again."""
    while True:
        made = generate()
        if not made.kid.startswith("-"):
            return made


def _description(
    store: KeyStore,
    organisation: str | None,
    name_zh: str | None,
    name_en: str | None,
    superior: str | None,
    roles: list[RoleName] | None,
) -> Any:
    """Prints the JWKS, or the record of an organisation; its words are judged before any key is made."""
    if organisation is None:
        if name_zh or name_en or superior or roles:
            raise UsageFault("--name-zh, --name-en, --superior and --role describe an --organisation")
        return lambda: _current(store)
    parse_organisation_id(organisation)
    if not (name_zh and name_en):
        raise UsageFault("a record for import needs --name-zh and --name-en")
    record = {
        "id": organisation,
        "name": {"zh": name_zh, "en": name_en},
        "superior": superior,
        "roles": [role.value for role in roles or [RoleName.BUREAU]],
    }
    return lambda: [record | _allowance(store) | {"jwks": _current(store)}]


def _current(store: KeyStore) -> dict[str, Any]:
    """The public keys that have not ended, as a JWK Set."""
    now = datetime.now(UTC)
    return jwk.public_jwks(key for key in store.public_keys() if key.expires is None or key.expires > now)


def _newest(keys: Sequence[VerifyingKey | EncryptionKey]) -> set[str]:
    """The newest key of each use, as the key store chooses them."""
    found = {_use(key): key.kid for key in sorted(keys, key=lambda key: (key.not_before or _LONG_AGO, key.kid))}
    return set(found.values())


def _allowance(store: KeyStore) -> dict[str, list[str]]:
    """The allow-list that the record asks for, where the keys are of an algorithm that not everybody may sign with."""
    signing = {key.alg for key in store.public_keys() if isinstance(key, VerifyingKey)}
    return {} if signing <= DEFAULT_ALGORITHMS else {"algorithms": sorted(signing)}


def _watched(index: int, entry: Entry, own: set[str]) -> dict[str, Any] | None:
    """A word of the log on our keys, or by them on who may sign for us; None for what is neither."""
    match entry:
        case KeyAdded(kid=kid):
            event = "added"
        case KeyRemoved(kid=kid, statement=None):
            event = "removed"
        case KeyRemoved(kid=kid, statement=str(statement)):
            event = f"removed by {revocation.read(statement)[1].signer}"
        case Delegated(gateway=gateway, statement=statement):
            kid, event = delegation.read(statement)[0].header.kid or "", f"lets {gateway} sign"
        case DelegationEnded(statement=statement):
            kid, event = delegation.read(statement)[0].header.kid or "", "delegation ended"
        case Succeeded(successor=successor):
            kid, event = "", f"{successor} in its place"
        case _:
            return None
    return {"kid": kid, "event": event, "at": entry.at, "entry": index, "ours": kid in own}


def _row(key: VerifyingKey | EncryptionKey, now: datetime) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "use": _use(key),
        "alg": key.alg,
        "crv": key.jwk.get("crv"),
        "not_before": key.not_before.isoformat() if key.not_before else None,
        "expires": key.expires.isoformat() if key.expires else None,
        "valid": key.valid_at(now),
    }


def _use(key: VerifyingKey | EncryptionKey) -> str:
    return "sig" if isinstance(key, VerifyingKey) else "enc"
