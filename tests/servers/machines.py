"""Machines of a network as network namespaces: each has an address of its own, and can be cut off from another.

That takes root and Linux (ip-netns(8)). Elsewhere they are all this machine, and nothing can be cut.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.demo.process import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Machine:
    """Where processes run: ``inside`` goes in front of a command. ``namespace`` is empty for this very machine."""

    name: str
    address: str
    namespace: str = ""

    @property
    def inside(self) -> list[str]:
        """What runs a command there."""
        return ["ip", "netns", "exec", self.namespace] if self.namespace else []

    def cut_off(self, other: Machine) -> None:
        """Let nothing pass between the two any more, in either direction, and tell nobody: as a broken cable does."""
        for here, there in ((self, other), (other, self)):
            _ip("-n", here.namespace, "route", "add", "blackhole", f"{there.address}/32")


class Network:
    """Some machines and this one, whose address in it is ``address``."""

    def __init__(self, address: str, bridge: str = "") -> None:
        self.address = address
        self._bridge = bridge
        self._machines: list[Machine] = []

    @property
    def can_be_cut(self) -> bool:
        """Whether machines have addresses of their own."""
        return bool(self._bridge)

    def machine(self, name: str) -> Machine:
        """Add a machine."""
        number = len(self._machines) + 2
        made = Machine(name, LOOPBACK)
        if self.can_be_cut:
            made = Machine(name, f"{self.address.rpartition('.')[0]}.{number}", f"{self._bridge}-{number}")
            outer = f"{self._bridge}v{number}"
            _ip("netns", "add", made.namespace)
            self._machines.append(made)
            _ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", made.namespace)
            _ip("link", "set", outer, "master", self._bridge, "up")
            for command in (
                ("addr", "add", f"{made.address}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", made.namespace, *command)
        else:
            self._machines.append(made)
        return made

    def remove(self) -> None:
        """Remove the machines, and what ran there must have ended."""
        for machine in self._machines:
            if machine.namespace:
                _ip("netns", "del", machine.namespace)
        if self._bridge:
            _ip("link", "del", self._bridge)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make a network for the length of the block, of namespaces where that is allowed."""
    third = secrets.randbelow(250)
    bridge, address = f"sk{secrets.token_hex(2)}", f"10.231.{third}.1"
    made = Network(LOOPBACK)
    if os.geteuid() == 0 and shutil.which("ip"):
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "add", bridge, "type", "bridge")
            made = Network(address, bridge)
            _ip("addr", "add", f"{address}/24", "dev", bridge)
            _ip("link", "set", bridge, "up")
    try:
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
