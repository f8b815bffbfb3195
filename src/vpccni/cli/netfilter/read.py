"""The host's packet filters read by the commands that the host has. Changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass

from vpccni.cli.netfilter.hooks import BaseChain, Ruleset
from vpccni.cli.netfilter.iptables_text import Saved, parse_saved
from vpccni.cli.netfilter.iptables_walk import bases
from vpccni.cli.netfilter.nft_walk import NftBase, NftTable, parse_nft, without

TIMEOUT = 30.0
LEGACY, NF_TABLES = "legacy", "nf_tables"
COMMANDS = {LEGACY: "iptables-legacy-save", NF_TABLES: "iptables-nft-save"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What is in the packet filters."""

    saved: tuple[Saved, ...] = ()
    """One for each kind of iptables that could be asked."""
    tables: tuple[NftTable, ...] = ()
    bases: tuple[NftBase, ...] = ()
    used: str = ""
    """Which kind the `iptables` command is; nothing without the command."""
    not_read: tuple[str, ...] = ()
    """What could not be asked, and why."""

    def of(self, backend: str) -> Saved | None:
        """What one kind of iptables has."""
        return next((saved for saved in self.saved if saved.backend == backend), None)

    @property
    def ruleset(self) -> Ruleset:
        """All of it as a packet meets it."""
        nf_tables = self.of(NF_TABLES)
        chains: list[BaseChain] = [base for saved in self.saved for base in bases(saved)]
        return Ruleset((*chains, *without(self.bases, nf_tables.tables if nf_tables is not None else ())))


def read_filters() -> Filters:
    """Everything that there is a command for."""
    used = _kind()
    saved: list[Saved] = []
    missed: list[str] = []
    commands = {backend: name for backend, name in COMMANDS.items() if shutil.which(name)}
    if used and used not in commands:
        commands[used] = "iptables-save"
    for backend, command in commands.items():
        try:
            saved.append(parse_saved(backend, _run([command])))
        except OSError as error:
            missed.append(f"{command}: {error}")
    if not commands:
        missed.append("there is no iptables command")
    tables: tuple[NftTable, ...] = ()
    chains: tuple[NftBase, ...] = ()
    try:
        tables, chains = parse_nft(_run(["nft", "-j", "list", "ruleset"]))
    except (OSError, json.JSONDecodeError, KeyError) as error:
        missed.append(f"nft: {error}")
    return Filters(tuple(saved), tables, chains, used, tuple(missed))


def _kind() -> str:
    try:
        said = _run(["iptables", "--version"])
    except OSError:
        return ""
    # releases before 1.8 do not name it and have but the older one
    return NF_TABLES if "nf_tables" in said else LEGACY


def _run(command: list[str]) -> str:
    """Raises OSError with what the command said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise OSError(f"no answer within {TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        raise OSError(done.stderr.strip() or f"exit status {done.returncode}")
    return done.stdout
