"""Sandboxes are network namespaces, held by a bind mount."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, socket
from pathlib import Path
from vpclab.node.sandbox import make_netns, remove_netns
here = os.readlink("/proc/thread-self/ns/net")
path = "/run/netns/cni-x"
Path("/run/netns").mkdir()
fd = make_netns(path)
inode = os.fstat(fd).st_ino
assert f"net:[{inode}]" != here
assert os.stat(path).st_ino == inode
assert os.readlink("/proc/thread-self/ns/net") == here, "it came back"
os.close(fd)
remove_netns(path)
remove_netns(path)  # again is fine
assert not os.path.exists(path)
assert "cni-x" not in Path("/proc/self/mounts").read_text()
try:
    make_netns("/run/no-such-directory/x")
except OSError:
    print("all held")
"""


@pytest.mark.kernel
def test_a_sandbox_is_made_held_and_let_go() -> None:
    prefix = (
        "unshare",
        "--mount",
        "--net",
        "--propagation",
        "private",
        "sh",
        "-c",
        'mount -t tmpfs t /run; exec "$@"',
        "sh",
    )
    done = subprocess.run(
        [*prefix, sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert (done.returncode, done.stdout) == (0, "all held\n"), done.stderr
