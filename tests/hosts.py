"""Hosts that a test kills, cuts off, or freezes: network namespaces at the two ends of one cable.

Each has an address of its own, and each program on it a host name, an /etc/hosts and mounts of its own. Only Linux has
namespaces, and only root may make them. What a test does to a host reaches nothing outside of it.
"""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CABLE = "eth0"  # what each host calls its end


def find_namespaces() -> None:
    """Raises RuntimeError where hosts can't be made."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        raise RuntimeError("ip or unshare is not installed")
    tried = subprocess.run(["unshare", "--net", "--mount", "--uts", "true"], capture_output=True, check=False)
    if tried.returncode:
        raise RuntimeError(tried.stderr.decode().strip())


@dataclass(frozen=True)
class Host:
    namespace: str
    address: str

    def start(
        self, command: Sequence[str], name: str, hosts: Path, environment: Mapping[str, str], log: Path, mounts: str
    ) -> "subprocess.Popen[bytes]":
        """`mounts` is what a shell runs first: its mounts are seen by this program alone."""
        prepared = f'hostname {name} && mount --bind {hosts} /etc/hosts && {mounts or "true"} && exec "$@"'
        inside = ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c", prepared, "sh", *command]
        with log.open("ab") as output:
            return subprocess.Popen(
                inside, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def cut(self) -> None:
        """Pulls the cable: nothing comes in or out, and nobody is told."""
        _ip("-n", self.namespace, "link", "set", CABLE, "down")

    def join(self) -> None:
        _ip("-n", self.namespace, "link", "set", CABLE, "up")

    def kill(self) -> None:
        """A power cut. The cable first: the kernel would say goodbye on every connection of a killed process."""
        self.cut()
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """To every process on this host."""
        for pid in _ip("netns", "pids", self.namespace).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), number)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Their addresses are of a range that is kept for documentation, so no real host has them."""
    prefix = f"mmctr-{secrets.token_hex(3)}"
    hosts = (Host(f"{prefix}-a", "192.0.2.1"), Host(f"{prefix}-b", "192.0.2.2"))
    try:
        for host in hosts:
            _ip("netns", "add", host.namespace)
            _ip("-n", host.namespace, "link", "set", "lo", "up")
        ends = [["name", CABLE, "netns", host.namespace] for host in hosts]
        _ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for host in hosts:
            _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", CABLE)
            host.join()
        yield hosts
    finally:
        for host in hosts:
            with suppress(RuntimeError):  # it was not made
                host.signal(signal.SIGKILL)
                _ip("netns", "delete", host.namespace)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
