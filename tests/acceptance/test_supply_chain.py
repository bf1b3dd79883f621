"""What the project is made of: audited, listed with hashes and licences, and built to the same bytes anywhere."""

import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.acceptance.pages import blocks

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "tests/acceptance/as4/requirements.lock")
NODE_LOCKS = ("tests/acceptance/node/package-lock.json", "docs/examples/javascript/package-lock.json")
NODE_VERSION = json.loads((ROOT / NODE_LOCKS[1]).read_text())["packages"]["node_modules/jose"]["version"]
PACKAGES = ("adapters", "hub", "keys", "protocols")


def script(name: str, *arguments: str, root: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / ".ci" / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=os.environ | more)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project with the same checks that locks two Python packages and one of npm."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
    blocks = re.split(r"(?m)^(?=[a-z0-9])", (ROOT / LOCKS[0]).read_text())
    text = "".join(block for block in blocks if block.startswith(("jinja2==", "markupsafe==")))
    for lock in LOCKS:
        (tmp_path / lock).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / lock).write_text(text if lock == LOCKS[0] else "")
    for lock in NODE_LOCKS:
        (tmp_path / lock).parent.mkdir(parents=True, exist_ok=True)
        for file in (lock, lock.replace("-lock", "")):
            shutil.copy(ROOT / NODE_LOCKS[1].replace("package-lock.json", Path(file).name), tmp_path / file)
    project = 'dependencies = ["jinja2>=3"]\noptional-dependencies = {dev = []}'
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "xieban"\nversion = "0"\n{project}\n')
    return tmp_path


# The lock


def test_a_lock_that_does_not_fit_is_named(small: Path) -> None:
    assert script("lock_check.py", root=small).returncode == 0
    lock, project = small / LOCKS[0], small / "pyproject.toml"
    unhashed = re.sub(r"(?m)^(markupsafe==[^ ]+)(.*\n    --hash=.*)+", r"\1", lock.read_text())
    lock.write_text(f"--index-url https://somewhere.example/\n{unhashed}")
    project.write_text(project.read_text().replace('"jinja2>=3"', '"jinja2>=99", "nothing"'))
    said = script("lock_check.py", root=small)
    assert said.returncode == 1
    for complaint in (
        "nothing is declared but not locked",
        "markupsafe is locked without a hash",
        "declared as jinja2",
        "requirements.lock names a host",
    ):
        assert complaint in said.stdout


# The bill of materials


def from_locks() -> dict[str, set[str]]:
    """Package URL of everything that is locked, with its hashes; read by other means than the bill's."""
    found: dict[str, set[str]] = {}
    for lock in LOCKS:
        package = ""
        for line in (ROOT / lock).read_text().splitlines():
            if name := re.match(r"([a-z0-9-]+)==([^ ;]+)", line):
                package = f"pkg:pypi/{name[1]}@{name[2]}"
            found.setdefault(package, set()).update(re.findall(r"--hash=sha256:(\w{64})", line))
    for lock in NODE_LOCKS:
        for path, entry in json.loads((ROOT / lock).read_text())["packages"].items():
            if path:
                found[f"pkg:npm/{path.split('/')[-1]}@{entry['version']}"] = {entry["integrity"]}
    return found


def test_the_bill_holds_every_locked_package_with_hash_and_licence(tmp_path: Path) -> None:
    said = script("sbom.py", "--to", str(tmp_path / "bill.json"))
    assert said.returncode == 0, said.stderr
    text = (tmp_path / "bill.json").read_text()
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"required"', '"somehow"')) is not None
    bill = json.loads(text)
    parts = {part["purl"]: part for part in bill["components"]}
    wanted = from_locks()
    assert set(parts) == set(wanted) and len(wanted) > 150
    for url, part in parts.items():
        hashes = {h["content"] for file in part["externalReferences"] for h in file["hashes"]}
        assert part["licenses"] and hashes, url
        if url.startswith("pkg:pypi/"):
            assert hashes == wanted[url], url
    scopes = {part["name"]: part["scope"] for part in parts.values()}
    assert [scopes[name] for name in ("asyncpg", "signxml", "pytest")] == ["required", "optional", "excluded"]
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    assert any(url.startswith("pkg:pypi/markupsafe@") for url in needs[next(u for u in parts if "/jinja2@" in u)])


@pytest.mark.parametrize(
    ("file", "before", "after", "complaint"),
    [
        (".ci/licences.toml", '"BSD-3-Clause", ', "", "BSD-3-Clause is not among the licences that may come in"),
        (LOCKS[0], "jinja2==", "unheard-of==", "unheard-of 3.1.6: no licence known"),
        (LOCKS[0], "--hash=", "--no=", "locked without a hash"),
    ],
)
def test_what_may_not_come_in_stops_the_bill(small: Path, file: str, before: str, after: str, complaint: str) -> None:
    (small / file).write_text((small / file).read_text().replace(before, after))
    said = script("sbom.py", "--to", str(small / "bill.json"), root=small)
    assert said.returncode == 1 and complaint in said.stderr
    assert not (small / "bill.json").exists()


# The audit


class Registry(BaseHTTPRequestHandler):
    """Answers as OSV, as a registry of Python packages and as npm's do, of vulnerabilities that the test names."""

    known: ClassVar[dict[str, str]] = {}
    osv: ClassVar[bool] = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        if self.path.startswith("/-/npm"):
            self.say({name: [self.advisory(name)] for name in asked if name in self.known})
        elif not self.osv:
            self.send_error(405)
        else:
            name = asked["package"]["name"]
            affected = [{"package": asked["package"], "versions": [asked["version"]]}]
            found = [{"id": self.known[name], "affected": affected}] if name in self.known else []
            self.say({"vulns": found})

    def do_GET(self) -> None:
        if not self.path.startswith("/pypi/"):
            name = self.path.strip("/")
            return self.say({"name": name, "versions": {NODE_VERSION: {"name": name, "version": NODE_VERSION}}})
        name = self.path.split("/")[2]
        version = "0.0" if name == "markupsafe" else pinned(name)
        found = [{"id": self.known[name]}] if name in self.known else []
        self.say({"info": {"version": version}, "vulnerabilities": found})

    def advisory(self, name: str) -> dict[str, Any]:
        where = f"https://advisories.example/{self.known[name]}"
        return {"id": 1, "url": where, "title": "t", "severity": "high", "vulnerable_versions": "*"}

    def say(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def pinned(name: str) -> str:
    found = re.search(rf"(?m)^{name}==([^ ]+)", (ROOT / LOCKS[0]).read_text())
    assert found
    return found[1]


@pytest.fixture
def registry() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(root: Path, address: str, *more: str) -> subprocess.CompletedProcess[str]:
    where = ("--osv", address, "--registry", address)
    return script("audit.py", *where, *more, root=root, npm_config_registry=address, npm_config_fetch_retries="0")


def bear(root: Path, *entries: tuple[str, str, str, date]) -> None:
    text = [
        f'[[accepted]]\nid = "{i}"\npackage = "{p}"\nreason = "{why}"\nuntil = {until}\n'
        for i, p, why, until in entries
    ]
    (root / ".ci/audit.toml").write_text("".join(text))


def test_nobody_who_answers_is_not_a_good_answer(small: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        silent = audit(small, address)
    assert silent.returncode == 2
    assert f"could not ask about 3: jinja2 {pinned('jinja2')}, jose" in silent.stdout


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not there")
def test_a_finding_fails_unless_it_is_borne_for_a_reason_and_a_time(
    small: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "known", {"jinja2": "OSV-1", "jose": "GHSA-2", "markupsafe": "OSV-3"})
    tomorrow, yesterday = date.today() + timedelta(1), date.today() - timedelta(1)
    because = "no templates of others"
    bear(small, ("OSV-1", "jinja2", because, tomorrow), ("OSV-3", "markupsafe", because, yesterday))
    found = audit(small, registry)
    assert found.returncode == 1
    assert "asked about 3 of 3" in found.stdout and "GHSA-2: jose" in found.stdout
    assert "OSV-3: markupsafe" in found.stdout and "was accepted until" in found.stdout
    assert "OSV-1: jinja2" not in found.stdout
    monkeypatch.setattr(Registry, "known", {"jinja2": "OSV-1"})
    bear(small, ("OSV-1", "jinja2", " ", tomorrow))
    assert "accepted without a reason" in audit(small, registry).stdout
    bear(small, ("OSV-1", "jinja2", because, tomorrow))
    assert audit(small, registry).returncode == 0


def test_the_page_of_a_project_answers_for_its_newest_version_only(
    small: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "known", {"jinja2": "PYSEC-1"})
    monkeypatch.setattr(Registry, "osv", False)
    found = audit(small, registry, "--unanswered", "warn")
    assert found.returncode == 1 and f"PYSEC-1: jinja2 {pinned('jinja2')}" in found.stdout
    assert f"markupsafe {pinned('markupsafe')}" in found.stdout.split("could not ask about")[1]


# The wheel


def git(*arguments: str, cwd: Path = ROOT) -> str:
    return subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("wheel")
    said = script("build_wheel.py", "--to", str(to))
    assert said.returncode == 0, said.stderr
    (made,) = to.glob("*.whl")
    return made


def test_the_wheel_is_the_same_bytes_wherever_and_whenever_it_is_built(wheel: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(elsewhere))
    for file in (elsewhere / "hub").rglob("*.py"):
        os.utime(file, (1e9, 1e9))
        file.chmod(0o700)
    (elsewhere / "hub/stray.py").write_text("left lying about")
    command = f"umask 077; {sys.executable} .ci/build_wheel.py --to {tmp_path}"
    more = {"TZ": "Pacific/Auckland", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1"}
    subprocess.run(["sh", "-c", command], cwd=elsewhere, env=os.environ | more, check=True, capture_output=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    made = datetime.fromtimestamp(int(git("log", "-1", "--format=%ct")), UTC)
    with zipfile.ZipFile(wheel) as files:
        dates = {file.date_time for file in files.infolist()}
    assert dates == {(made.year, made.month, made.day, made.hour, made.minute, made.second // 2 * 2)}


def test_debians_own_python_builds_it_too(wheel: Path, tmp_path: Path) -> None:
    """It is an older one than that of the tests, mostly, whose archives differ in the modes that they note."""
    asked = ["/usr/bin/python3", "-c", "import sys; print(sys.version_info[:2] == tuple(map(int, sys.argv[1:])))"]
    if not Path(asked[0]).exists():
        pytest.skip("no /usr/bin/python3: the wheel is built by this Python alone")
    if "True" not in subprocess.run([*asked, *map(str, sys.version_info[:2])], capture_output=True, text=True).stdout:
        pytest.skip("/usr/bin/python3 is of another version than the environment's, whose packages it would need")
    command = ["/usr/bin/python3", ".ci/build_wheel.py", "--to", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": sysconfig.get_path("purelib")}, check=False
    )
    assert done.returncode == 0
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(tmp_path / wheel.name) as debians:
        assert {name: debians.read(name) for name in debians.namelist()} == {n: ours.read(n) for n in ours.namelist()}


def test_the_wheel_carries_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        carried = {name for name in files.namelist() if ".dist-info/" not in name}
        assert files.read("hub/config.toml") == (ROOT / "config.toml").read_bytes()
    tracked = set(git("ls-tree", "-r", "--name-only", "HEAD", *PACKAGES).splitlines())
    assert carried == tracked and any(name.endswith(".sql") for name in carried)


def test_the_locked_wheel_in_an_empty_environment_plays_the_demo(
    wheel: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--wheel-installed"):
        pytest.skip("takes minutes and a registry; pytest --wheel-installed")
    (lock,) = wheel.parent.glob("*.lock")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(tmp_path / "venv/bin/python"), "-m", "pip"]
    install = [*pip, "install", "--quiet", "--no-input"]
    subprocess.run([*install, "--require-hashes", "--requirement", str(lock)], check=True)
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True)
    subprocess.run([*pip, "check"], check=True)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    demo = [str(tmp_path / "venv/bin/xieban"), "demo", "--exit"]
    subprocess.run(demo, cwd=tmp_path, env=clean, check=True)


@pytest.mark.parametrize("whose", ["PyPI", "Debian"])
def test_the_pages_commands_install_it_with_pipx_and_make_a_hub(
    whose: str, wheel: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--wheel-installed"):
        pytest.skip("takes a minute and a registry; pytest --wheel-installed")
    installing, _, making, *_ = blocks((ROOT / "docs/installation.md").read_text("utf-8"), "sh")
    if whose == "Debian" and not Path("/usr/bin/pipx").exists():
        pytest.skip("no pipx of Debian (apt install pipx)")
    if whose == "PyPI":
        subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "pipx")], check=True)
        subprocess.run([str(tmp_path / "pipx/bin/python"), "-m", "pip", "install", "--quiet", "pipx"], check=True)
    shutil.copytree(wheel.parent, tmp_path / "dist")
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    first = f"{tmp_path}/pipx/bin" if whose == "PyPI" else "/usr/bin:/bin"
    clean["PATH"] = f"{tmp_path}/bin:{first}:{os.environ['PATH']}"

    def shell(script: str) -> subprocess.CompletedProcess[str]:
        placed = script.replace("/opt/pipx", f"{tmp_path}/opt").replace("/usr/local/bin", f"{tmp_path}/bin")
        command = ["bash", "-euc", placed]
        return subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)

    installed = shell(installing)
    assert installed.returncode == 0, installed.stderr
    init, doctor, _ = making.splitlines()
    assert shell("command -v xieban").stdout.strip() == f"{tmp_path}/bin/xieban"
    assert shell(init).returncode == 0
    examined = shell(f"{doctor} --json")
    assert {one["level"] for one in json.loads(examined.stdout)["findings"]} <= {"warning"}, examined.stdout
    again = shell(installing.replace("pipx install", "pipx install --force"))
    assert again.returncode == 0, again.stderr
    tampered = shell(installing.replace("pipx install", "pipx install --force").replace("sha256=$(", "sha256=0$("))
    assert tampered.returncode != 0 and "hash" in tampered.stderr.lower() + tampered.stdout.lower()
