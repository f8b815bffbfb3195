"""A machine that is a node and a bastion in one, in a world of its own; run by test_machines.py."""

import asyncio
import sys
from pathlib import Path

from vpclab.bastion import Desk, equip_bastion, equip_node, gather_kit
from vpclab.bastion.equip import shell_command
from vpclab.fabric import node_place

SCRIPT = """
set -e
[ "$PWD" = /run/home/root ] && [ "$HOME" = /run/home/root ] && cd ~ && [ "$PWD" = /run/home/root ]
[ "$CLUSTER_NAME" = "my 'eks'" ]
[ -z "$SECRET" ]
echo "export N1=127.0.0.1" >> /etc/profile
bash --login -c 'echo N1=$N1'
export N1=127.0.0.1
ssh ec2-user@$N1 id -un
ssh ec2-user@$N1 sudo id -un
ssh ec2-user@$N1 sudo iptables -V
ssh ec2-user@$N1 tree /etc/ssh >/dev/null
echo '{"a": [1, 2]}' | jq -c .a
! ssh root@$N1 true 2>/dev/null
command -v kubectl-ns aws watch less >/dev/null
echo fine
"""


async def play(root: Path) -> None:
    place = node_place("node-1", root)
    kit = gather_kit()
    await equip_node(place, kit)
    (root / "programs").mkdir()
    desk = Desk({"CLUSTER_NAME": "my 'eks'", "LC_ALL": "C"}, "{}", root / "programs", "192.0.2.2")
    await equip_bastion(place, kit, desk)
    async with asyncio.timeout(60):
        while (
            await place.run(("ssh", "-o", "BatchMode=yes", "ec2-user@127.0.0.1", "true"), check=False)
        ).returncode:
            await asyncio.sleep(0.1)
    done = await place.run((*shell_command({"SECRET": "x"}), "-c", SCRIPT), check=False)
    sys.stdout.write(done.stdout + done.stderr)
    place.close()
    sys.exit(done.returncode)


asyncio.run(play(Path(sys.argv[1])))
