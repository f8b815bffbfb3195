"""Calls to EC2: botocore when it is first needed, at a pace, counted, with typed failures, repeated where that is safe.

botocore for its credential chain (instance role, IRSA, pod identity), signing and endpoints; fed from our own cut of its
data, whose making is tools/trim_ec2_model.py. Measured, resident memory and time of a client in a process of 20.5 MiB:
56.1 MiB and 0.15 s with botocore's data, 33.6 MiB and 0.03 s with ours, 0.08 s of imports on top of either.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vpccni.aws.budget import CallBudget
from vpccni.aws.call_log import OK, CallLog
from vpccni.aws.errors import Ec2Error, failure, no_credentials, unreachable
from vpccni.ipam.reasons import Reason

DATA = Path(__file__).parent / "data"
CONNECT_TIMEOUT = 5.0
JITTER = 0.25
"""A wait for the budget grows by up to this part: nodes that were refused together shall not come back together."""
ATTEMPTS = 2
"""One lost packet is covered here. Who called knows what is still needed, and backs off."""
HTTP_OK = 200
DENIED = "UnauthorizedOperation"
"""The code of a call that the node's role has no permission for; other refusals of credentials name no action to allow."""
LEGIBLE = 200
"""Characters of a page that is no answer of EC2's."""
REPEATABLE = frozenset(
    {"CreateNetworkInterface", "DeleteNetworkInterface", "ModifyNetworkInterfaceAttribute"}
)
"""What may be said twice though the first may have been done, beside describing: a creation has its token. Addresses
that are assigned twice are leaked, an ENI is not attached or detached twice."""


class Ec2Client:
    """EC2's actions by name. Blocking; threads may call at the same time, as they may botocore's clients."""

    def __init__(
        self,
        region: str,
        *,
        endpoint_url: str | None = None,
        timeout: float = 10.0,
        calls: CallLog | None = None,
        budget: CallBudget | None = None,
        denied: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.calls = calls if calls is not None else CallLog()
        self._budget = budget if budget is not None else CallBudget()
        self._region = region
        self._endpoint_url = endpoint_url
        self._timeout = timeout
        self._denied = denied
        self._sleep = sleep
        self._clock = clock
        self._made: Any = None
        self._making = threading.Lock()
        self._pacing = threading.Lock()

    def call(
        self,
        action: str,
        said: Mapping[str, Any],
        *,
        subject: str = "",
        subnet: str | None = None,
        prefixes: bool = False,
    ) -> Mapping[str, Any]:
        """What EC2 answers. `subject`, `subnet` and `prefixes` tell the failure what it was about. Raises Ec2Error."""
        for attempt in range(ATTEMPTS):
            self._wait_for_turn(action)
            started = self._clock()
            try:
                answer = self._ask(action, said)
            except Exception as error:
                failed = _typed(error, action, subject=subject, subnet=subnet, prefixes=prefixes)
                if failed is None:
                    raise
                self._note(action, started, failed, _status(error))
                if attempt + 1 == ATTEMPTS or not _worth_repeating(action, failed):
                    raise failed from error
            else:
                self._note(action, started, None, HTTP_OK)
                return answer
        raise AssertionError("the last attempt returns or raises")

    def pages(self, action: str, items: str, said: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The items of every page. Raises Ec2Error."""
        token: dict[str, str] = {}
        while True:
            page = self.call(action, {**said, **token})
            yield from page.get(items, ())
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def close(self) -> None:
        """Close connections; the next call opens others."""
        with self._making:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _ask(self, action: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
        from botocore import xform_name  # noqa: PLC0415 -- see _make
        from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

        client = self._client()
        try:
            answer: Mapping[str, Any] = getattr(client, xform_name(action))(**said)
        except NoCredentialsError:
            # botocore looks for credentials when a client is made and never again: a metadata service that was late
            # would leave this node without EC2 until somebody restarts the agent
            self.close()
            raise
        return answer

    def _client(self) -> Any:
        with self._making:  # two threads must not load botocore twice
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Any:
        # loaded here and not at the top: an agent whose pool was restored serves pods before it needs any of this
        from botocore.config import Config  # noqa: PLC0415
        from botocore.loaders import Loader  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        session = Session()
        loader = Loader()
        loader.search_paths.insert(0, str(DATA))
        session.register_component("data_loader", loader)
        session.set_config_variable("metadata_service_num_attempts", 3)
        return session.create_client(
            "ec2",
            region_name=self._region,
            endpoint_url=self._endpoint_url,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=self._timeout,
                # botocore would repeat an assignment whose answer was lost, and count as one what EC2 counts as two
                retries={"mode": "standard", "total_max_attempts": 1},
                user_agent_extra="vpc-cni",
            ),
        )

    def _wait_for_turn(self, action: str) -> None:
        with self._pacing:
            wait = self._budget.take(action, self._clock())
        if wait > 0:
            self._sleep(wait * (1 + JITTER * random.random()))  # noqa: S311 -- spreads calls, hides nothing

    def _note(self, action: str, started: float, failed: Ec2Error | None, status: int | None) -> None:
        now = self._clock()
        self.calls.record(action, OK if failed is None else failed.code, now - started, status)
        with self._pacing:
            if failed is None:
                self._budget.accepted(action, now)
            elif failed.refusal.reason is Reason.THROTTLED:
                self._budget.throttled(action, now)
        if failed is not None and failed.code == DENIED:
            self._denied(action)


def _typed(
    error: Exception, action: str, *, subject: str, subnet: str | None, prefixes: bool
) -> Ec2Error | None:
    """The failure that an exception of botocore's stands for; None for what is no failure of EC2 (a wrong parameter)."""
    from botocore import exceptions  # noqa: PLC0415 -- it was loaded by the call that failed
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    match error:
        case exceptions.ClientError():
            said = error.response.get("Error", {})
            return failure(
                action,
                said.get("Code", ""),
                said.get("Message", ""),
                subject=subject,
                subnet=subnet,
                prefixes=prefixes,
                # for the credentials of a service account botocore calls STS in between
                asked=None if error.operation_name == action else f"sts:{error.operation_name}",
                status=error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400),
            )
        case (
            exceptions.NoCredentialsError()
            | exceptions.PartialCredentialsError()
            | exceptions.CredentialRetrievalError()
            | exceptions.MetadataRetrievalError()
            | exceptions.NoAuthTokenError()
        ):
            return no_credentials(action, str(error))
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            sent = isinstance(error, exceptions.ReadTimeoutError | exceptions.ConnectionClosedError)
            return unreachable(action, str(error), subject=subject, subnet=subnet, unsure=sent)
        case exceptions.ParamValidationError():
            return None
        case exceptions.BotoCoreError() | ResponseParserError():
            # most likely an answer that is no EC2 answer: a proxy's page, a body that broke off
            return failure(
                action,
                "Unreadable",
                str(error)[:LEGIBLE],
                subject=subject,
                subnet=subnet,
                prefixes=prefixes,
                status=500,
            )
    return None


def _status(error: Exception) -> int | None:
    """HTTP's of the answer; None if there was none."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 -- it was loaded by the call that failed

    if not isinstance(error, ClientError):
        return None
    status: int | None = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status


def _worth_repeating(action: str, failed: Ec2Error) -> bool:
    if failed.unsure:
        return action in REPEATABLE or action.startswith("Describe")
    return failed.refusal.reason is Reason.EC2_UNREACHABLE
