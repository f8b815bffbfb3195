"""A device that goes is told of at once."""

import asyncio

import pytest
from tests.linux.namespaces import run

from vpccni.linux.link_watch import LinkWatch
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel
MAC = "02:00:00:00:00:77"


def test_the_mac_of_a_device_that_went(host: Netlink) -> None:
    async def tell() -> None:
        gone: asyncio.Queue[str] = asyncio.Queue()
        watch = LinkWatch(gone.put_nowait, lambda: gone.put_nowait("news were lost"))
        watch.start()
        run("ip", "link", "add", "eth7", "address", MAC, "type", "veth", "peer", "name", "far")
        run("ip", "link", "set", "eth7", "up")
        run("ip", "link", "set", "eth7", "name", "ens7")
        run("ip", "link", "del", "ens7")
        async with asyncio.timeout(5):
            told = {await gone.get(), await gone.get()}
        assert MAC in told
        assert gone.empty(), "a device that is renamed or set up is not gone"
        watch.close()

    asyncio.run(tell())
