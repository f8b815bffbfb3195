"""sshd, sudo and the bastion's shell on a machine of the lab; the machine that it runs on keeps its users and files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fabric.conftest import UNSHARE

from vpclab.bastion import files, gather_kit

HERE = Path(__file__).parent


@pytest.mark.kernel
def test_a_person_works_on_the_bastion_and_comes_onto_nodes(tmp_path: Path) -> None:
    gather_kit()  # what is missing is fetched here: the scenario's world has no way out
    before = {path: Path(path).read_bytes() for path in ("/etc/passwd", "/etc/profile")}
    done = subprocess.run(
        (*UNSHARE, sys.executable, "-W", "error", str(HERE / "scenario.py"), str(tmp_path)),
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(HERE.parents[1])}, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert said[:3] == ["N1=127.0.0.1", "ec2-user", "root"]
    assert said[3].startswith("iptables v")
    assert said[4:6] == ["[1,2]", "fine"]
    assert before == {path: Path(path).read_bytes() for path in before}
    assert not Path("/etc/profile.d/vpc-lab.sh").exists()


def test_users_are_added_to_those_that_are_there() -> None:
    there = "root:x:0:0:root:/root:/bin/zsh\nbob:x:1000:1000::/home/bob:/bin/sh\ntcpdump:x:104:112::/x:/no\n"
    lines = files.passwd(there).splitlines()
    assert lines[0] == "root:x:0:0:root:/run/home/root:/bin/bash"
    assert lines[1:3] == there.splitlines()[1:]
    assert lines[3].startswith("ec2-user:*:1001:1001:")
    assert files.passwd("\n".join(lines)).splitlines()[1:3] == lines[1:3]


def test_a_profiles_values_are_quoted() -> None:
    text = files.profile({"B": "two words", "A": "it's"}, "/x:/y")
    assert "export A='it'\"'\"'s'\nexport B='two words'\nexport PATH=/run/vpc-lab/bin:/x:/y\n" in text
