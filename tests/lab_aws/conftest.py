from __future__ import annotations

import asyncio
import functools
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from starlette.types import ASGIApp

from vpclab.aws import CallLog, Endpoint, Serving, cloud_of, serve
from vpclab.region import Delays, Region, Study, launch_bastion, launch_node, study_region

T = TypeVar("T")


class Loop:
    """An asyncio loop in a thread: it owns the region, as the lab's daemon does."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="the region's loop")
        self._thread.start()
        self._serving: list[Serving] = []

    def do(self, what: Callable[[], T]) -> T:
        """Call it in the loop, where the region may be touched."""

        async def call() -> T:
            return what()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def serve(self, app: ASGIApp) -> str:
        """Serve on loopback; the URL."""
        sock = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        self._serving.append(asyncio.run_coroutine_threadsafe(serve(app, sock), self._loop).result(10))
        return url

    def close(self) -> None:
        for serving in self._serving:
            asyncio.run_coroutine_threadsafe(serving.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Cloud:
    """The study's region with a bastion and a node, EC2 served on loopback, and a real client of it."""

    loop: Loop
    clock: Clock
    region: Region
    study: Study
    node: str
    url: str
    client: Any
    log: CallLog
    changed: list[int] = field(default_factory=list)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@functools.cache
def _session() -> Any:
    """Shared, for it keeps the service model, which takes long to load."""
    session = botocore.session.Session()
    session.set_credentials("ASIAANYTHING", "any secret", "any token")
    return session


def ec2_client(url: str, *, patience: float = 10) -> Any:
    return aws_client("ec2", url, patience=patience)


def aws_client(service: str, url: str, *, patience: float = 10, keys: Mapping[str, str] | None = None) -> Any:
    """A real client; `keys` are aws_access_key_id, aws_secret_access_key and perhaps aws_session_token."""
    once = Config(retries={"total_max_attempts": 1}, read_timeout=patience, parameter_validation=False)
    return _session().create_client(
        service, region_name="ap-northeast-2", endpoint_url=url, config=once, **(keys or {})
    )


@pytest.fixture
def cloud(loop: Loop) -> Iterator[Cloud]:
    clock = Clock()
    region, study = study_region(Region(delays=Delays(attach=(2, 2), detach=(1, 1)), now=clock.now))
    launch_bastion(region, study)
    node = launch_node(region, study, 0).id
    log, changed = CallLog(), []
    app = Endpoint(
        cloud_of(region),
        clock,
        instance_of=lambda address: node if address == "127.0.0.1" else None,
        log=log,
        on_change=lambda: changed.append(len(region.drain_changes())),
    )
    url = loop.serve(app)
    client = ec2_client(url)
    yield Cloud(loop, clock, region, study, node, url, client, log, changed)
    client.close()


@contextmanager
def client_error(code: str, message: str = "", status: int = 400) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    assert (answer["Error"]["Code"], message in answer["Error"]["Message"]) == (code, True), answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
