import threading
import time
from pathlib import Path

from vpclab.cgroup_tree import remove_groups
from vpclab.kubernetes.cgroups import Hierarchy, hierarchies

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
MINE = "9:name=systemd:/s\n4:memory:/jobs/7\n1:cpuacct,cpu:/\n0::/\n"
V2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_1_is_used_below_the_group_that_one_is_in() -> None:
    assert hierarchies(V1, MINE) == (
        Hierarchy("cpu,cpuacct", "cpu,cpuacct", Path("/sys/fs/cgroup/cpu,cpuacct")),
        Hierarchy("memory", "memory", Path("/sys/fs/cgroup/memory/jobs/7")),
        Hierarchy("systemd", "name=systemd", Path("/sys/fs/cgroup/systemd/s")),
    )


def test_a_place_that_shows_each_mount_twice_has_each_once() -> None:
    assert hierarchies(V1 + V1, MINE) == hierarchies(V1, MINE)


def test_version_2_is_used_below_its_root() -> None:
    assert hierarchies(V2, "0::/user.slice/session-1.scope\n") == (Hierarchy("", "", Path("/sys/fs/cgroup")),)


def test_groups_are_removed_with_all_below_and_the_one_above_if_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "vpclab/lab/node1/kubepods/pod1").mkdir(parents=True)
    (tmp_path / "vpclab/other").mkdir()
    assert remove_groups([tmp_path / "vpclab/lab", tmp_path / "vpclab/none"]) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["vpclab", "other"]
    assert remove_groups([tmp_path / "vpclab/other"]) == []
    assert list(tmp_path.iterdir()) == []


def test_a_group_in_use_is_waited_for_and_then_named(tmp_path: Path) -> None:
    held = tmp_path / "lab/held"
    held.mkdir(parents=True)
    (held / "a-file-keeps-it").touch()
    assert remove_groups([tmp_path / "lab"], patience=0.1) == [tmp_path / "lab"]
    threading.Timer(0.2, (held / "a-file-keeps-it").unlink).start()
    began = time.monotonic()
    assert remove_groups([tmp_path / "lab"]) == []
    assert time.monotonic() - began < 5
