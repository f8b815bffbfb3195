"""Which of the kernel's two iptables this node uses, where the container has both: the one that its kubelet writes to.

Rules in the other one would be obeyed as well, but before or after kube-proxy's, and nobody would find them (spec 1.1). On a
host, and in the lab's bare nodes, `iptables` is what the administrator chose, and nothing is chosen here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import MutableMapping
from pathlib import Path

BACKENDS = Path("/usr/local/lib/iptables")
"""Of our image: a directory for each kind, with iptables, iptables-save and so on in it."""
KINDS = ("nft", "legacy")
KUBELETS = re.compile(r"^:KUBE-(IPTABLES-HINT|KUBELET-CANARY) ", re.MULTILINE)
"""Chains that kubelet makes in table mangle for exactly this purpose."""
TIMEOUT = 10.0


def choose_backend(environ: MutableMapping[str, str] = os.environ, backends: Path = BACKENDS) -> str | None:
    """Put the node's kind of iptables first on PATH; which it is, or None if the container has no choice.

    nf_tables where kubelet has left no sign and the older kind has no rules.
    """
    if not backends.is_dir():
        return None
    chosen = next((kind for kind in KINDS if KUBELETS.search(_saved(backends / kind, "mangle"))), None)
    if chosen is None:
        chosen = "legacy" if _only_legacy_has_rules(backends) else "nft"
    environ["PATH"] = f"{backends / chosen}:{environ.get('PATH', os.defpath)}"
    return chosen


def _only_legacy_has_rules(backends: Path) -> bool:
    legacy, nft = ("\n-A " in _saved(backends / kind) for kind in ("legacy", "nft"))
    return legacy and not nft


def _saved(folder: Path, table: str | None = None) -> str:
    """What is there; nothing if this kind does not work here."""
    command = [str(folder / "iptables-save"), *(["-t", table] if table else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
