"""The command `xieban`: one file a command, the one place that puts everything together."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from hub import audit as auditing
from hub import config as configuration
from hub import enrolment, processes
from hub.commands import demo as showing
from hub.identity import establish, hub_key
from keys import strict_json
from keys.errors import Fault
from keys.jwk import VerifyingKey, parse_jwks
from protocols import checking, loading, receipt

app = typer.Typer(
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="协办 · 跨地区案件协办枢纽。 A hub through which authorities work on one case.",
)
organisations = typer.Typer(no_args_is_help=True, help="机构目录。 The directory of organisations.")
protocols = typer.Typer(no_args_is_help=True, help="协作协议。 The protocols of collaboration.")
app.add_typer(organisations, name="organisations")
app.add_typer(protocols, name="protocols")
Data = Annotated[Path, typer.Option("--data", help="数据目录。 The hub's data directory.")]
Config = Annotated[Path | None, typer.Option("--config", help="config.toml。 The configuration file.")]


def main() -> None:
    """Run the command line; a fault ends it with one line and status 1."""
    try:
        app()
    except Fault as fault:
        typer.echo(f"xieban: {fault.code}: {fault.detail}", err=True)
        sys.exit(1)


@app.command()
def serve(data: Data, port: int = 8420, workers: int = 1, config: Config = None) -> None:
    """启动枢纽。 Run a hub on the data directory until it is stopped."""

    def ready(url: str) -> None:
        typer.echo(f"枢纽已就绪 · hub ready: {url}")

    asyncio.run(processes.supervise(data.resolve(), port, workers, config, ready))


@organisations.command("import")
def import_(file: Path, data: Data, config: Config = None) -> None:
    """导入机构及其公钥（JSON）。 Take in organisations and their public keys; safe to repeat."""
    try:
        records = enrolment.parse(file.read_bytes())
    except OSError as error:
        raise enrolment.ImportInvalid(f"{file}: {error.strerror}") from error
    settings = configuration.load(config)

    async def work() -> int:
        async with processes.attached(data.resolve(), settings) as dsn:
            key = hub_key(data.resolve())
            connection = await asyncpg.connect(dsn)
            try:
                identity = await establish(connection, settings.hub.id, key)
                return await enrolment.enrol(connection, identity, records)
            finally:
                await connection.close()

    events = asyncio.run(work())
    typer.echo(f"已导入 {len(records)} 个机构，{events} 项密钥变更 · {len(records)} organisations, {events} key events")


@app.command()
def audit(data: Data, config: Config = None) -> None:
    """核对全部日志、消息与收件箱。 Walk the whole log; status 0 only if everything holds."""
    settings = configuration.load(config)

    async def work() -> auditing.Report:
        async with processes.attached(data.resolve(), settings) as dsn:
            connection = await asyncpg.connect(dsn)
            try:
                return await auditing.audit(connection, hub_key(data.resolve()).public)
            finally:
                await connection.close()

    report = asyncio.run(work())
    for finding in report.findings:
        typer.echo(f"✗ {finding}", err=True)
    typer.echo(f"entries {report.entries} · messages {report.messages} · positions {report.positions}")
    if report.findings:
        raise typer.Exit(1)
    typer.echo("全部一致 · everything holds")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="RECEIPT", help="回执 JSON。 The receipt.")],
    key: Annotated[Path, typer.Option("--key", help="枢纽公钥 JWKS。 The hub's public keys.")],
    message: Annotated[Path | None, typer.Option("--message", help="消息 JWS。 The message.")] = None,
) -> None:
    """离线验证回执。 Verify a receipt offline; needs no hub."""
    keys = [k for k in parse_jwks(strict_json.loads(key.read_bytes())) if isinstance(k, VerifyingKey)]
    compact = message.read_bytes().strip() if message else None
    proven = receipt.verify(receipt.parse(file.read_bytes()), keys, compact=compact)
    typer.echo(f"有效 · valid: entry {proven.index} of {proven.checkpoint.origin}, tree size {proven.checkpoint.size}")


@protocols.command("check")
def check() -> None:
    """检查协议目录。 Check that every protocol of the catalogue holds together."""
    found = checking.require(loading.catalogue())
    for name, version in found.protocols:
        typer.echo(f"✓ {name} {version}")


@protocols.command("list")
def list_() -> None:
    """列出协议。 List the protocols."""
    for protocol in loading.catalogue().protocols.values():
        typer.echo(f"{protocol.name} {protocol.version}  {protocol.flow.title.zh} · {protocol.flow.title.en}")


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option("--data", help="数据目录，默认临时。 Where to keep it.")] = None,
    port: int = 8420,
    cases: Annotated[int, typer.Option(help="案件数。 How many cases.")] = 300,
    exit: Annotated[bool, typer.Option("--exit", help="结束后退出。 Stop at the end.")] = False,
    picture: Annotated[Path | None, typer.Option(help="把输出存为 SVG。 Save the output as a picture.")] = None,
) -> None:
    """演示：两地机构经枢纽协办数百件案件。 Two regions work hundreds of cases through a real hub."""
    showing.run(data.resolve() if data else None, port, cases, exit, picture)
