"""EC2's endpoint with ten and with ten thousand ENIs: how long a call takes, what the server weighs, how soon it answers.

python bench/ec2_scale.py [ENIS]        # needs no root: a region behind its endpoint on loopback, a real client
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

ROUNDS = 200
WANTED = 2.0
"""Times that a call by id may take with many ENIs what it takes with few."""
SMALL, PER_SUBNET = 10, 1500


def serve_forever(enis: int) -> None:
    """The server: its URL and an ENI's id on the first line once it answers."""
    began = time.monotonic()
    from vpclab.aws import Endpoint, cloud_of, serve  # noqa: PLC0415 -- the start is measured
    from vpclab.region import Delays, Region, Wanted  # noqa: PLC0415

    region = Region(delays=Delays(attach=(0, 0), detach=(0, 0)), now=time.time(), throttle=False)
    vpc = region.create_vpc(IPv4Network("10.0.0.0/16")).id
    subnets = [
        region.create_subnet(vpc, region.zones[0], IPv4Network(f"10.0.{32 * n}.0/19")).id for n in range(8)
    ]
    made = [
        region.create_network_interface(
            subnets[n // PER_SUBNET], wanted=Wanted(count=3), tags={"number": str(n)}
        ).id
        for n in range(enis)
    ]

    async def run() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        await serve(Endpoint(cloud_of(region), time.time), sock)
        print(
            f"http://127.0.0.1:{sock.getsockname()[1]}",
            made[len(made) // 2],
            subnets[7],
            time.monotonic() - began,
        )
        sys.stdout.flush()
        await asyncio.Event().wait()

    asyncio.run(run())


def median_ms(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def measured(enis: int) -> dict[str, float]:
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    began = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", str(enis)],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert server.stdout is not None
    try:
        url, eni, empty, _ = server.stdout.readline().split()
        up = time.monotonic() - began
        session = Session()
        session.set_credentials("AKIA", "x")
        ec2 = session.create_client(
            "ec2",
            region_name="ap-northeast-2",
            endpoint_url=url,
            config=Config(retries={"total_max_attempts": 1}),
        )
        idle = resident_mib(server.pid)
        began = time.perf_counter()
        ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])
        first = time.perf_counter() - began
        held = [{"Name": "subnet-id", "Values": [empty]}]

        def create_and_delete() -> None:
            made = ec2.create_network_interface(SubnetId=empty)["NetworkInterface"]["NetworkInterfaceId"]
            ec2.delete_network_interface(NetworkInterfaceId=made)

        return {
            "describe by id, ms": median_ms(
                lambda: ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])
            ),
            "describe an empty subnet's, ms": median_ms(
                lambda: ec2.describe_network_interfaces(Filters=held)
            ),
            "describe a page of 5, ms": median_ms(lambda: ec2.describe_network_interfaces(MaxResults=5)),
            "create and delete, ms": median_ms(create_and_delete),
            "server up, s": up,
            "first call (model loaded), s": first,
            "idle before it, MiB": idle,
            "resident, MiB": resident_mib(server.pid),
        }
    finally:
        server.kill()
        server.wait()


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    few_took, many_took = measured(SMALL), measured(many)
    print(f"{'':34}{SMALL:>10} ENIs{many:>10} ENIs     ratio")
    for name, small in few_took.items():
        print(f"{name:34}{small:>15.2f}{many_took[name]:>15.2f}{many_took[name] / small:>10.2f}")
    ratio = many_took["describe by id, ms"] / few_took["describe by id, ms"]
    print(f"describe by id: {ratio:.2f} times, at most {WANTED} wanted")
    sys.exit(ratio > WANTED)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve_forever(int(sys.argv[2]))
    else:
        main()
