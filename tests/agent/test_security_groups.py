from __future__ import annotations

import asyncio

from tests.agent.test_cloud import cloud
from tests.agent.test_cloud import ec2 as ec2  # noqa: PLC0414 -- a fixture
from vpccni.agent.security_groups import SecurityGroups
from vpccni.agent.threads import Threads
from vpccni.aws.fake_ec2 import FakeEc2
from vpccni.ipam.actions import AttachEni
from vpccni.ipam.values import BlockKind, EniId

MODIFY = "ModifyNetworkInterfaceAttribute"


def test_only_enis_with_other_groups_are_told_and_failures_are_tried_again(ec2: FakeEc2) -> None:
    node = cloud(ec2)
    enis = [node.attach(AttachEni(n, 1, BlockKind.SECONDARY_IP)).eni.id for n in (1, 2)]
    primarys = ["sg-node"]

    async def read() -> tuple[str, ...]:
        await asyncio.sleep(0)
        return tuple(primarys)

    async def tell() -> None:
        threads = Threads(1, "test")
        groups = SecurityGroups(node, read, lambda: enis, threads)
        ec2.actions.clear()
        await groups.refresh()
        assert MODIFY not in ec2.actions, "they were made with these groups"
        primarys[:] = ["sg-node", "sg-more"]
        ec2.fail(MODIFY, "RequestLimitExceeded")
        await groups.refresh()
        assert sorted(ec2.enis[eni].groups for eni in enis) == [("sg-node",), ("sg-node", "sg-more")]
        await groups.refresh()
        assert {ec2.enis[eni].groups for eni in enis} == {("sg-node", "sg-more")}
        ec2.actions.clear()
        await groups.refresh()
        assert ec2.actions == []
        groups.learn({enis[0]: ("sg-other",)})  # somebody changed it by hand
        await groups.refresh()
        assert ec2.actions == [MODIFY]
        enis.append(EniId("eni-gone"))
        groups.learn({EniId("eni-gone"): ("sg-other",)})
        await groups.refresh()
        assert node.groups == ("sg-node", "sg-more"), "new ENIs get them from the start"
        threads.close()

    asyncio.run(tell())
