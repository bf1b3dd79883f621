"""What somebody would try against a running hub and the machine it runs on, beyond what other tests are about."""

import hashlib
import json
import os
import re
import resource
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyotp
import pytest
from jwcrypto import jws

from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import XIEBAN, RunningHub, running_hub

SECRET = "a passphrase that nobody else may see"
OVERSEER = Outsider("410000-supervision", "", roles=("supervisor",))
PARTIES = Outsider("411002-health", ""), Outsider("440306-health", "", "P-256")
OPEN_TO_ALL = ("/", "/v1/hub", "/v1/organisations", "/v1/protocols", "/openapi.json", "/console/login", "/console/",
               "/verify", "/log/checkpoint", "/problems/not-found", "/healthz", "/no/such/place")  # fmt: skip
NONE: Mapping[str, str] = {}
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub whose operator took no care: a careless umask, core dumps allowed, the passphrase in the environment."""
    before, limits = os.umask(0o022), resource.getrlimit(resource.RLIMIT_CORE)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XIEBAN_PASSPHRASE", SECRET)
        resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
        data = tmp_path_factory.mktemp("operator") / "hub"
        data.mkdir()
        try:
            with running_hub(data=data) as running:
                for party in PARTIES:
                    party.url = running.url
                running.enrol([party.record() for party in (OVERSEER, *PARTIES)])
                yield running
        finally:
            os.umask(before)
            resource.setrlimit(resource.RLIMIT_CORE, limits)


def ask(
    hub: RunningHub, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] = NONE
) -> tuple[int, dict[str, str], bytes]:
    """One call that follows no redirect."""
    there = urllib.parse.urlsplit(hub.url)
    body = urllib.parse.urlencode(form).encode() if form is not None else b""
    given = {"Host": there.netloc, "Connection": "close", **headers}
    if form is not None:
        given |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
    lines = [f"{'GET' if form is None else 'POST'} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in given.items()), "", ""]
    with socket.create_connection((there.hostname, there.port), 20) as raw:
        raw.sendall("\r\n".join(lines).encode() + body)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    first, _, content = answer.partition(b"\r\n\r\n")
    status, *fields = first.decode().split("\r\n")
    return int(status.split()[1]), {n.title(): v for n, _, v in (field.partition(": ") for field in fields)}, content


# The machine


def family(pid: int) -> list[Path]:
    """A process and all below it, as folders of /proc."""
    process = Path(f"/proc/{pid}")
    children = [int(child) for task in process.glob("task/*/children") for child in task.read_text().split()]
    return [process, *(one for child in children for one in family(child))]


def test_secrets_are_in_no_arguments_and_not_in_the_databases_environment(hub: RunningHub) -> None:
    everybody = family(hub.process.pid)
    database = [process for process in everybody if process.joinpath("exe").readlink().name == "postgres"]
    assert database and len(everybody) > len(database) + 1
    assert not any(SECRET in process.joinpath("cmdline").read_text() for process in everybody)
    assert not any(SECRET in process.joinpath("environ").read_text() for process in database)
    assert SECRET not in (hub.data / "hub.log").read_text() + (hub.data / "postgres.log").read_text()


def test_no_process_leaves_what_it_holds_in_a_core_dump(hub: RunningHub) -> None:
    for process in family(hub.process.pid):
        assert re.findall(r"Max core file size +(\S+) +(\S+)", (process / "limits").read_text()) == [("0", "0")]


def test_nobody_else_on_the_machine_reads_what_the_hub_keeps(hub: RunningHub) -> None:
    for path in hub.data.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        written_by_these_tests = path == hub.data / "hub.log"
        passing_through = stat.S_IXOTH if path.is_dir() else 0
        assert written_by_these_tests or not mode & 0o077 & ~passing_through, (path, oct(mode))


@pytest.mark.parametrize("trick", ["a folder open to all", "a link"])
def test_a_socket_folder_that_somebody_else_put_there_is_not_used(tmp_path: Path, trick: str) -> None:
    data = tmp_path / ("long" * 25)
    name = hashlib.sha256(str(data / "postgres").encode()).hexdigest()[:16]
    taken, elsewhere = Path(f"/tmp/xieban-{name}"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    if trick == "a link":
        taken.symlink_to(elsewhere)
    else:
        taken.mkdir()
        taken.chmod(0o777)
    try:
        owner = elsewhere.stat().st_uid
        command = [*XIEBAN, "serve", "--data", str(data), "--port", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and str(taken) in done.stderr and "Traceback" not in done.stderr
        assert elsewhere.stat().st_uid == owner and not list(taken.iterdir())
    finally:
        taken.unlink() if taken.is_symlink() else taken.rmdir()


def test_a_line_of_the_log_drives_no_terminal() -> None:
    said = "import structlog; from hub import journal; journal.configure(); structlog.get_logger().info('x', path={!r})"
    nasty = "/\x1b[2J\x9b2J\x7f\u202e\u2028张\ud800"
    done = subprocess.run([sys.executable, "-c", said.format(nasty)], capture_output=True, check=True)
    line = done.stderr.decode("utf-8")
    assert line.endswith("\n") and line[:-1].isprintable() and "张" in line
    assert json.loads(line)["path"] == nasty


def test_a_desk_that_others_reach_in_the_clear_says_so(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [*XIEBAN, "desk", "--store", str(tmp_path / "desk"), "--host", "0.0.0.0", "--port", port]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as desk:
        assert desk.stderr is not None
        assert any("--certificate" in line for line in desk.stderr)
        desk.terminate()


# Pages and headers


def test_nothing_comes_back_of_the_name_a_caller_gave_the_hub(hub: RunningHub) -> None:
    """Neither a cache nor a link can be poisoned by it."""
    for path in OPEN_TO_ALL:
        named = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
        status, headers, body = ask(hub, path, None, named | {"Forwarded": "host=evil.example;proto=gopher"})
        assert status < 500
        assert "evil.example" not in str(headers) and b"evil.example" not in body and b"gopher" not in body, path


def test_every_answer_says_what_it_is_and_not_what_it_is_made_of(hub: RunningHub) -> None:
    for path in (*OPEN_TO_ALL, "/console/static/console.css", "/metrics", "/readyz"):
        _, headers, _ = ask(hub, path)
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Server"] == "xieban", path
        assert "Access-Control-Allow-Origin" not in headers and "X-Powered-By" not in headers


def test_no_page_can_be_framed_scripted_or_kept(hub: RunningHub) -> None:
    for path in ("/console/login", "/console/join/x", "/console/enter/x", "/console/nothing", "/verify"):
        _, headers, body = ask(hub, path)
        policy = headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store" and "Referrer-Policy" in headers
        assert not re.search(rb"<script(?![^>]* src=)|\son\w+=|style=", body), path


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/console/../../evil", "javascript:alert(1)",
     "/console//evil.example", "/console/\r\nSet-Cookie: a=b", "/verify.evil.example", "\t//evil.example", ""],
)  # fmt: skip
def test_the_choice_of_language_leads_nowhere_else(hub: RunningHub, back: str) -> None:
    status, headers, _ = ask(hub, "/console/language?" + urllib.parse.urlencode({"to": "en", "back": back}))
    where = urllib.parse.urljoin(hub.url + "/console/language", headers["Location"])
    assert status == 303 and "a=b" not in headers.get("Set-Cookie", "")
    assert urllib.parse.urlsplit(where).netloc == urllib.parse.urlsplit(hub.url).netloc


@pytest.mark.parametrize(
    "path",
    ["/console/static/../app.py", "/console/static/..%2fapp.py", "/console/static/%2e%2e/%2e%2e/config.py",
     "/console/static/....//app.py", "/console/static//etc/passwd", "/v1/protocols/..%2f..%2f..%2fetc/1.0/passwd",
     "/v1/attachments/..%2f..%2fkeys%2fjwks.json", "/log/tile/0/..%2f..%2fkeys", "/problems/..%2f..%2fconfig"],
)  # fmt: skip
def test_a_path_leads_out_of_nothing(hub: RunningHub, path: str) -> None:
    status, _, body = ask(hub, path)
    assert 400 <= status < 500 and b"root:" not in body and b"import " not in body and b'"kty"' not in body


# Sessions


def test_a_session_is_made_at_log_in_and_is_over_at_the_way_out(hub: RunningHub) -> None:
    """A cookie that somebody put into a browser beforehand never becomes a session."""
    made = hub.run("people", "invite", "wang.wei", "--organisation", OVERSEER.id, "--full-name", "王伟",
                   "--data", str(hub.data), "--url", hub.url)  # fmt: skip
    assert made.returncode == 0, made.stderr
    path = urllib.parse.urlsplit(made.stdout.strip()).path
    _, _, page = ask(hub, path)
    totp = pyotp.parse_uri(re.findall(r"otpauth://[^<\"]+", page.decode())[0].replace("&amp;", "&"))
    assert isinstance(totp, pyotp.TOTP)
    fixed, form = "xieban-session=chosen-by-somebody-else", {"password": PASSWORD, "code": totp.now()}
    status, headers, _ = ask(hub, path, form, {"Cookie": fixed, "Origin": hub.url})
    assert status == 303
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert cookie.split("=")[1] not in ("", "chosen-by-somebody-else")
    assert {"HttpOnly", "SameSite=Strict", "Path=/console"} <= set(attributes)
    assert ask(hub, "/console/", None, {"Cookie": fixed})[0] == 303
    assert ask(hub, "/console/", None, {"Cookie": cookie})[0] == 200
    assert ask(hub, "/console/logout", {}, {"Cookie": cookie, "Origin": "https://evil.example"})[0] == 403
    assert ask(hub, "/console/", None, {"Cookie": cookie})[0] == 200
    assert ask(hub, "/console/logout", {}, {"Cookie": cookie, "Origin": hub.url})[0] == 303
    assert ask(hub, "/console/", None, {"Cookie": cookie})[0] == 303


# Messages and tokens


def test_what_is_signed_as_one_thing_is_taken_for_no_other(hub: RunningHub) -> None:
    here, there = PARTIES
    here.open_case(there)
    status, page = there.call("GET", "/v1/mailbox?after=0")
    assert status == 200
    item = page["items"][0]
    said = {"hub": "410000-hub", "recipient": there.id, "through": item["position"], "time": uuid7()}
    event = json.dumps(here.event("request", uuid7(), there, here.example("request"))).encode()
    claims = json.dumps({"iss": here.id, "sub": here.id, "aud": "410000-hub", "iat": 0, "exp": 2**31}).encode()
    acknowledgement = json.dumps(said).encode()
    for typ in (
        "JWT",
        "xieban-ack+jws",
        "xieban-revocation+jws",
        "xieban-delegation+jws",
        "xieban-vouching+jwt",
        "jwt",
    ):
        assert here.call("POST", "/v1/messages", here.sign(event, typ))[0] in (400, 401)
    for typ in ("JWT", "xieban+jws", "xieban-revocation+jws", "xieban-delegation+jws"):
        assert there.call("POST", "/v1/mailbox/acknowledge", there.sign(acknowledgement, typ, None))[0] in (400, 401)
    for typ in ("xieban+jws", "xieban-ack+jws", "xieban-delegation+jws"):
        token = here.sign(claims, typ, None).decode()
        assert ask(hub, "/v1/cases", None, {"Authorization": f"Bearer {token}"})[0] == 401


def test_a_token_is_good_at_no_other_hub_for_nobody_else_and_not_for_long(hub: RunningHub) -> None:
    here, there = PARTIES
    for changed in ({"aud": "440000-hub"}, {"iss": there.id}, {"sub": there.id}, {"iss": there.id, "sub": there.id},
                    {"exp": 2**31}, {"iat": 0, "exp": 240}, {"aud": ["410000-hub", "440000-hub"]}):  # fmt: skip
        assert ask(hub, "/v1/cases", None, {"Authorization": f"Bearer {here.token(**changed)}"})[0] == 401, changed
    assert ask(hub, "/v1/cases", None, {"Authorization": f"Bearer {here.token()}"})[0] == 200


def test_no_address_in_a_message_or_token_is_called(hub: RunningHub) -> None:
    """Nothing that a sender writes makes the hub call anybody."""
    here, there = PARTIES
    event = here.event("request", uuid7(), there, here.example("request"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/keys"
        contract = {"alg": here.alg, "kid": here.signing.thumbprint()}
        for name in ("jku", "x5u", "kid", "jwk", "typ"):
            message = {"typ": "xieban+jws", "cty": "application/cloudevents+json"} | contract | {name: address}
            assert here.call("POST", "/v1/messages", signed(here, message, event))[0] in (400, 401)
            bearer = signed(here, {"typ": "JWT"} | contract | {name: address}, {"iss": here.id}).decode()
            assert ask(hub, "/v1/cases", None, {"Authorization": f"Bearer {bearer}"})[0] == 401
        assert here.send(event | {"dataschema": address})[0] == 422
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # who had called would be waiting to be let in
            server.accept()


def signed(here: Outsider, header: dict[str, str], payload: object) -> bytes:
    token = jws.JWS(json.dumps(payload))
    token.allowed_algs = [here.alg]
    token.add_signature(here.signing, None, json.dumps(header))
    return str(token.serialize(compact=True)).encode()
