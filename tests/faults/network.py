"""A machine of its own for a node: a network namespace (network_namespaces(7)), and the cables that lead to it."""

import os
import shutil
import subprocess
from dataclasses import dataclass

WIDTH = 4
"""Addresses of one cable's network: its own, this machine's, the node's, and broadcast."""


def missing() -> str | None:
    """Why there can be no namespaces here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return "needs root and iproute2, for network namespaces"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "needs network namespaces"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Cable:
    """A pair of interfaces: `here` is this machine's address at it, `there` the node's."""

    name: str
    here: str
    there: str

    def unplug(self) -> None:
        """From now on packets are lost, in both directions, and nobody is told."""
        ip("link", "set", self.name, "down")

    def plug(self) -> None:
        """Packets get through again."""
        ip("link", "set", self.name, "up")


class Machine:
    """A namespace with a cable to the database and one to the partners."""

    def __init__(self) -> None:
        self.name = f"xieban-{os.getpid()}"
        ip("netns", "add", self.name)
        self.command = ("ip", "netns", "exec", self.name)
        """What begins the command line of a program that is to run there."""
        ip("-n", self.name, "link", "set", "lo", "up")
        self.database, self.partners = self._cable("d", 0), self._cable("p", 1)

    def _cable(self, letter: str, number: int) -> Cable:
        # 198.18.0.0/15 is for tests between networks (RFC 2544); a process has a few addresses of it for itself.
        base = (os.getpid() * 2 + number) * WIDTH % (1 << 17)
        here, there = (f"198.{18 + (at >> 16)}.{at >> 8 & 255}.{at & 255}" for at in (base + 1, base + 2))
        name, end = f"xb{letter}{os.getpid()}", f"xe{letter}{os.getpid()}"
        ip("link", "add", name, "type", "veth", "peer", "name", end, "netns", self.name)
        ip("address", "add", f"{here}/30", "dev", name)
        ip("-n", self.name, "address", "add", f"{there}/30", "dev", end)
        ip("link", "set", name, "up")
        ip("-n", self.name, "link", "set", end, "up")
        return Cable(name, here, there)

    def remove(self) -> None:
        """Take it away, with its cables."""
        for cable in (self.database, self.partners):
            subprocess.run(["ip", "link", "delete", cable.name], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)
