"""Looking at a lab from outside of its daemon: commands in its corners, EC2 over the wire, captures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import urlencode

from vpclab.lab.client import ask
from vpclab.lab.enter import enter_command
from vpclab.lab.state import LabError, LabState

NAMESPACE = "{http://ec2.amazonaws.com/doc/2016-11-15/}"
CAPTURE_SECONDS = 10.0


class Eyes:
    """What somebody at the machine can see of one lab."""

    def __init__(self, state: LabState) -> None:
        self.state = state

    def ask(self, op: str, **parameters: Any) -> Any:
        """Ask the daemon."""
        return ask(self.state.control, op, **parameters)

    def command(self, where: str, *argv: str) -> list[str]:
        """The command line that runs `argv` in a corner of the lab."""
        return [*enter_command(self.state, self.ask("way-in", name=where)), *argv]

    def run(self, where: str, *argv: str, check: bool = True) -> str:
        """A command's output, from inside a corner. Raises LabError if it fails."""
        done = subprocess.run(
            self.command(where, *argv), capture_output=True, text=True, check=False, timeout=60
        )
        if check and done.returncode != 0:
            raise LabError(f"in {where}: {' '.join(argv)} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def json(self, where: str, *argv: str) -> list[dict[str, Any]]:
        """The same for a command that prints JSON."""
        found: list[dict[str, Any]] = json.loads(self.run(where, *argv) or "[]")
        return found

    def pings(self, where: str, target: str, *options: str) -> bool:
        """Whether one ping is answered."""
        command = self.command(where, "ping", "-c", "1", "-W", "2", *options, target)
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0

    def ec2(self, action: str, **parameters: str) -> ET.Element:
        """An EC2 call over the wire, from the bastion."""
        body = urlencode({"Action": action, "Version": "2016-11-15", **parameters})
        region = self.ask("status")["region"]
        signed = ("--aws-sigv4", f"aws:amz:{region}:ec2", "--user", "AKIALABLABLABLABLAB0:any")
        url = f"http://ec2.{region}.amazonaws.com/"
        text = self.run("bastion", "curl", "-sS", "-m", "10", *signed, url, "-d", body)
        found = ET.fromstring(text)  # noqa: S314 -- from the lab's own server
        refused = found.findtext("Errors/Error/Message")
        if refused is not None:
            raise LabError(f"EC2 refused {action}: {refused}")
        return found

    def interfaces(self) -> list[dict[str, Any]]:
        """DescribeNetworkInterfaces, what matters of it."""
        found = []
        for item in self.ec2("DescribeNetworkInterfaces").iterfind(
            f"{NAMESPACE}networkInterfaceSet/{NAMESPACE}item"
        ):
            addresses = item.iterfind(
                f"{NAMESPACE}privateIpAddressesSet/{NAMESPACE}item/{NAMESPACE}privateIpAddress"
            )
            found.append(
                {
                    "id": item.findtext(f"{NAMESPACE}networkInterfaceId"),
                    "subnet": item.findtext(f"{NAMESPACE}subnetId"),
                    "instance": item.findtext(f"{NAMESPACE}attachment/{NAMESPACE}instanceId"),
                    "status": item.findtext(f"{NAMESPACE}status"),
                    "public": item.findtext(f"{NAMESPACE}association/{NAMESPACE}publicIp"),
                    "addresses": [a.text for a in addresses],
                }
            )
        return found

    def subnets(self) -> dict[str, tuple[str, int]]:
        """DescribeSubnets: CIDR and AvailableIpAddressCount by id."""
        return {
            str(item.findtext(f"{NAMESPACE}subnetId")): (
                str(item.findtext(f"{NAMESPACE}cidrBlock")),
                int(item.findtext(f"{NAMESPACE}availableIpAddressCount") or -1),
            )
            for item in self.ec2("DescribeSubnets").iterfind(f"{NAMESPACE}subnetSet/{NAMESPACE}item")
        }

    @contextmanager
    def background(self, where: str, *argv: str) -> Iterator[Output]:
        """A command that runs in a corner while the body does, and is ended then."""
        with tempfile.TemporaryFile("w+") as lines, tempfile.TemporaryFile("w+") as words:
            process = subprocess.Popen(
                self.command(where, *argv), stdout=lines, stderr=words, text=True, start_new_session=True
            )
            try:
                yield Output(lines, words)
            finally:
                # nsenter waits for the command and passes no signal on: both are ended
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()

    @contextmanager
    def capture(self, where: str, device: str, what: str) -> Iterator[Output]:
        """Packets on a device while the body runs."""
        with self.background(where, "tcpdump", "-l", "-nn", "-e", "-U", "-i", device, what) as output:
            output.wait_for("listening on", errors=True)
            yield output


class Output:
    """What a command in the background has printed so far."""

    def __init__(self, lines: IO[str], words: IO[str]) -> None:
        self._lines = lines
        self._words = words

    @property
    def lines(self) -> list[str]:
        """Each line of its output."""
        return _read(self._lines)

    def wait_for(self, text: str, *, errors: bool = False) -> str:
        """The first line with the text, of its output or its errors; "" if none came in time."""
        deadline = time.monotonic() + CAPTURE_SECONDS
        while time.monotonic() < deadline:
            found = [line for line in _read(self._words if errors else self._lines) if text in line]
            if found:
                return found[0]
            time.sleep(0.02)  # another process writes the file
        return ""


def _read(file: IO[str]) -> list[str]:
    # by its own position: the command writes through the same open file
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace").splitlines()


def machine_network() -> str:
    """What of the machine itself a lab must never change."""
    commands = (
        ("ip", "rule"),
        ("ip", "route", "show", "table", "all"),
        ("iptables-save",),
        ("nft", "list", "ruleset"),
        ("cat", "/proc/sys/net/ipv4/ip_forward"),
    )
    shown = [
        subprocess.run(command, capture_output=True, text=True, check=False).stdout for command in commands
    ]
    return "\n".join(line for text in shown for line in text.splitlines() if not line.startswith("#"))
