"""The doors of the console: log-in by password and code, by a link, by a passkey; the account; the way out."""

import json as plain_json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import segno
import webauthn
from aiohttp import web
from markupsafe import Markup
from webauthn.helpers import exceptions, structs

from hub.api.calls import HUB
from hub.console import people
from hub.console.pages import LANGUAGE, Field, common, environment
from hub.console.people import LoginRefused, LoginsTooMany, Person, PersonInvalid
from hub.console.tables import Link
from hub.console.words import ROLES, T
from hub.store import Connection
from hub.store.queries import SQL

COOKIE = "xieban-session"
ORIGIN = web.AppKey("origin", str)
"""The address that browsers have of this hub, `https://hub.example`; empty: as each request says."""
PROXIES = web.AppKey("proxies", frozenset[str])
"""The addresses of proxies in front, whose word on where a visitor is counts."""
CHALLENGE = timedelta(minutes=5)
_LOGIN = (
    Field("name", T("账户", "Account"), ""),
    Field("password", T("口令", "Password"), "", "password"),
    Field("code", T("动态码", "One-time code"), ""),
)
_JOIN = (
    Field("password", T("新口令（至少 12 个字符）", "New password (12 characters or more)"), "", "password"),
    Field("code", T("动态码", "One-time code"), ""),
)


def origin_of(request: web.Request) -> str:
    """The origin that this hub is reached by (RFC 6454)."""
    return request.config_dict[ORIGIN] or f"{request.scheme}://{request.host}"


def address_of(request: web.Request) -> str:
    """Where the visitor is: the last of X-Forwarded-For, which the proxy itself added, where a known proxy calls."""
    remote = request.remote or ""
    if remote not in request.config_dict[PROXIES]:
        return remote
    return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or remote


def language_of(request: web.Request) -> str:
    """The visitor's choice, else what the browser prefers, else Chinese."""
    chosen = request.cookies.get(LANGUAGE)
    if chosen in ("zh", "en"):
        return chosen
    return "en" if request.headers.get("Accept-Language", "").lower().startswith("en") else "zh"


async def person_of(request: web.Request) -> Person | None:
    """Who is logged in."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    async with request.config_dict[HUB].pool.acquire() as connection:
        return await people.session(connection, token)


async def door(
    request: web.Request,
    title: T,
    fields: Sequence[Field] = (),
    *,
    button: T | None = None,
    action: str = "",
    texts: Sequence[T | str] = (),
    secret: str = "",
    problem: T | None = None,
    passkey: str = "",
    links: Sequence[Link] = (),
    status: int = 200,
) -> web.Response:
    """A page with one form, for who is not inside; a `secret` is an address for a telephone, as a QR code too."""
    passkey_text = (
        T("添加通行密钥", "Add a passkey") if passkey == "make" else T("用通行密钥登录", "Enter with a passkey")
    )
    shared = common(
        language_of(request),
        title=title,
        fields=fields,
        button=button,
        action=action or request.path,
        texts=texts,
        secret=secret,
        code=Markup(segno.make_qr(secret, error="m").svg_inline(scale=4, border=4, light="#fff")) if secret else "",
        links=links,
        problem=problem,
        here=request.path,
        passkey=passkey,
        passkey_text=passkey_text,
    )
    body = environment().get_template("door.html").render(shared)
    return web.Response(text=body, content_type="text/html", status=status)


async def ask_login(request: web.Request) -> web.StreamResponse:
    """`GET /console/login`."""
    return await door(request, T("登录", "Log in"), _LOGIN, button=T("登录", "Log in"), passkey="use")


async def login(request: web.Request) -> web.StreamResponse:
    """`POST /console/login`."""
    form = await _form(request)
    name, password, code = (form.get(field, "") for field in ("name", "password", "code"))
    try:
        async with request.config_dict[HUB].pool.acquire() as connection:
            who = await people.login(connection, name, password, code, address_of(request))
            return await _inside(request, connection, who)
    except LoginsTooMany:
        problem, status = T("尝试次数过多，请一刻钟后再试。", "Too many attempts; try again in 15 minutes."), 429
    except LoginRefused:
        problem, status = T("账户、口令或动态码不对。", "Account, password or code is not right."), 403
    fields = [Field("name", _LOGIN[0].title, name[:64]), *_LOGIN[1:]]
    title = T("登录", "Log in")
    return await door(request, title, fields, button=title, problem=problem, passkey="use", status=status)


async def ask_join(request: web.Request) -> web.StreamResponse:
    """`GET /console/join/{token}`: what the invited person sets up."""
    try:
        async with request.config_dict[HUB].pool.acquire() as connection:
            name, address = await people.invited(connection, request.match_info["token"])
    except LoginRefused:
        return await _used(request)
    return await _joining(request, name, address)


async def join(request: web.Request) -> web.StreamResponse:
    """`POST /console/join/{token}`."""
    form, token = await _form(request), request.match_info["token"]
    async with request.config_dict[HUB].pool.acquire() as connection:
        try:
            name, address = await people.invited(connection, token)
        except LoginRefused:
            return await _used(request)
        try:
            who = await people.join(connection, token, form.get("password", ""), form.get("code", ""))
        except PersonInvalid:
            short = T("口令至少 12 个字符，且不含账户名。", "At least 12 characters, and not the account's name.")
            return await _joining(request, name, address, short)
        except LoginRefused:
            return await _joining(request, name, address, T("动态码不对，请核对手机时间。", "The code does not fit."))
        return await _inside(request, connection, who)


async def ask_enter(request: web.Request) -> web.StreamResponse:
    """`GET /console/enter/{token}`: nothing happens before the button is pressed, whoever looks at the link first."""
    return await door(request, T("进入督导台", "Enter the console"), button=T("进入", "Enter"))


async def enter(request: web.Request) -> web.StreamResponse:
    """`POST /console/enter/{token}`."""
    try:
        async with request.config_dict[HUB].pool.acquire() as connection:
            who = await people.enter(connection, request.match_info["token"])
            return await _inside(request, connection, who)
    except LoginRefused:
        return await _used(request)


async def leave(request: web.Request) -> web.StreamResponse:
    """`POST /console/logout`."""
    async with request.config_dict[HUB].pool.acquire() as connection:
        await people.end(connection, request.cookies.get(COOKIE, ""))
    response = _elsewhere("/console/login")
    response.del_cookie(COOKIE, path="/console")
    return response


async def account(request: web.Request) -> web.StreamResponse:
    """`GET /console/account`."""
    who = await person_of(request)
    if who is None:
        raise web.HTTPSeeOther("/console/login")
    directory = await request.config_dict[HUB].directory()
    async with request.config_dict[HUB].pool.acquire() as connection:
        passkeys = len(await connection.fetch(SQL["passkeys"], who.name))
    known = directory.get(who.organisation)
    of = known.name[language_of(request)] if known is not None else who.organisation
    role, manages = ROLES[who.role], who.role == "manager"
    texts = (
        T(f"{who.full_name}（{who.name}）· {of} · {role.zh}", f"{who.full_name} ({who.name}) · {of} · {role.en}"),
        T(f"通行密钥 {passkeys} 把。", f"Passkeys: {passkeys}."),
    )
    inside = Link(T("回到督导台", "Back to the console"), "/console/")
    people_of = Link(T("本机构的账户", "The accounts of your organisation"), "/console/people")
    return await door(
        request,
        T("账户", "Account"),
        button=T("退出", "Log out"),
        action="/console/logout",
        texts=texts,
        passkey="make",
        links=[inside, people_of] if manages else [inside],
    )


async def switch_language(request: web.Request) -> web.StreamResponse:
    """`GET /console/language`: kept for a year; back to where one was."""
    to, back = request.query.get("to", "zh"), request.query.get("back", "/console/")
    inside = back.startswith(("/console/", "/verify")) and "\\" not in back and "//" not in back
    response = _elsewhere(back if inside and back.isascii() and back.isprintable() else "/console/")
    response.set_cookie(LANGUAGE, "en" if to == "en" else "zh", max_age=365 * 86_400, path="/", samesite="Lax")
    return response


# Passkeys (WebAuthn level 2) ----------------------------------------------------------------------------------


async def offer_passkey(request: web.Request) -> web.Response:
    """`POST /console/passkeys/new`: what a new credential is to be made with."""
    who = await _required(request)
    async with request.config_dict[HUB].pool.acquire() as connection:
        held = [
            structs.PublicKeyCredentialDescriptor(row["credential"])
            for row in await connection.fetch(SQL["passkeys"], who.name)
        ]
        options = webauthn.generate_registration_options(
            rp_id=_rp(request),
            rp_name="xieban",
            user_name=who.name,
            user_id=who.name.encode(),
            user_display_name=who.full_name,
            exclude_credentials=held,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
        )
        await _remember(connection, options.challenge, who.name)
    return web.json_response(text=webauthn.options_to_json(options))


async def add_passkey(request: web.Request) -> web.Response:
    """`POST /console/passkeys`: the credential made."""
    who, (credential, challenge) = await _required(request), await _given(request)
    async with request.config_dict[HUB].pool.acquire() as connection:
        await _recall(connection, challenge, who.name)
        try:
            made = webauthn.verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=_rp(request),
                expected_origin=origin_of(request),
                require_user_verification=True,
            )
        except (exceptions.WebAuthnException, ValueError, KeyError, TypeError):
            raise web.HTTPForbidden from None
        columns = made.credential_id, who.name, made.credential_public_key, made.sign_count
        await connection.execute(SQL["add_passkey"], *columns)
    return web.json_response({"added": True})


async def ask_passkey(request: web.Request) -> web.Response:
    """`POST /console/passkeys/ask`: a challenge for whoever has a passkey of this hub."""
    options = webauthn.generate_authentication_options(
        rp_id=_rp(request), user_verification=structs.UserVerificationRequirement.REQUIRED
    )
    async with request.config_dict[HUB].pool.acquire() as connection:
        await _remember(connection, options.challenge, "")
    return web.json_response(text=webauthn.options_to_json(options))


async def enter_by_passkey(request: web.Request) -> web.StreamResponse:
    """`POST /console/passkeys/enter`."""
    credential, challenge = await _given(request)
    async with request.config_dict[HUB].pool.acquire() as connection:
        await _recall(connection, challenge, "")
        try:
            held = await connection.fetchrow(SQL["passkey"], webauthn.base64url_to_bytes(str(credential["rawId"])))
            if held is None:
                raise web.HTTPForbidden
            used = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=_rp(request),
                expected_origin=origin_of(request),
                credential_public_key=held["public_key"],
                credential_current_sign_count=held["sign_count"],
                require_user_verification=True,
            )
        except (exceptions.WebAuthnException, ValueError, KeyError, TypeError):
            raise web.HTTPForbidden from None
        row = await connection.fetchrow(SQL["person"], held["person"])
        if row is None or row["disabled"]:
            raise web.HTTPForbidden
        await connection.fetchval(SQL["used_passkey"], held["credential"], used.new_sign_count)
        return await _inside(request, connection, held["person"], web.json_response({"entered": True}))


async def _form(request: web.Request) -> dict[str, str]:
    """The texts of a form. Raises HTTPBadRequest for one with NUL, which no text in the database holds."""
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    if any("\0" in value for value in form.values()):
        raise web.HTTPBadRequest
    return form


def _elsewhere(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})


def _rp(request: web.Request) -> str:
    return origin_of(request).split("://", 1)[1].split(":", 1)[0]


async def _required(request: web.Request) -> Person:
    who = await person_of(request)
    if who is None:
        raise web.HTTPForbidden
    return who


async def _given(request: web.Request) -> tuple[dict[str, Any], bytes]:
    """What a browser's authenticator answered, and the challenge it says it is for."""
    try:
        credential = await request.json()
        said = plain_json.loads(webauthn.base64url_to_bytes(credential["response"]["clientDataJSON"]))
        return credential, webauthn.base64url_to_bytes(said["challenge"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise web.HTTPBadRequest from None


async def _remember(connection: Connection, challenge: bytes, person: str) -> None:
    await connection.execute(SQL["add_link"], challenge, person, "challenge", datetime.now(UTC) + CHALLENGE)


async def _recall(connection: Connection, challenge: bytes, person: str) -> None:
    """A challenge is good once, and only for whom it was made."""
    if await connection.fetchval(SQL["use_link"], challenge, "challenge") != person:
        raise web.HTTPForbidden


async def _inside(
    request: web.Request, connection: Connection, who: str, response: web.Response | None = None
) -> web.StreamResponse:
    token = await people.begin(connection, who)
    answer = response if response is not None else _elsewhere("/console/")
    answer.set_cookie(
        COOKIE,
        token,
        max_age=int(people.SESSION.total_seconds()),
        path="/console",
        httponly=True,
        samesite="Strict",
        secure=origin_of(request).startswith("https://"),
    )
    return answer


async def _joining(request: web.Request, name: str, address: str, problem: T | None = None) -> web.Response:
    texts = (
        T(
            f"账户 {name}。用手机的动态码应用扫这个二维码；就在手机上打开的，点下面的链接。再设口令。",
            f"Account {name}. Scan this with the code app on your telephone, or follow the link if this is one. "
            "Then choose a password.",
        ),
    )
    title, status = T("加入督导台", "Join the console"), 200 if problem is None else 422
    return await door(
        request, title, _JOIN, button=T("加入", "Join"), texts=texts, secret=address, problem=problem, status=status
    )


async def _used(request: web.Request) -> web.Response:
    problem = T(
        "此链接已用过或已过期，请向运行方另要一个。", "This link was used or is too old; ask the operator for another."
    )
    return await door(request, T("链接无效", "This link does not work"), problem=problem, status=410)
