"""Questions to EC2 with the node's own rights, by botocore's whole model: the agent's cut of it has no route tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TIMEOUT = 5.0


class NotAllowedError(Exception):
    """EC2 did not answer as hoped: its code, and in words which call and why."""

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"ec2:{action}: {code}: {message}")
        self.action = action
        self.code = code
        self.message = message


class Questions:
    """One region's EC2. Blocking."""

    def __init__(self, region: str, endpoint: str | None = None) -> None:
        self._region = region
        self._endpoint = endpoint
        self._client: Any = None

    def ask(self, action: str, **said: Any) -> Mapping[str, Any]:
        """What EC2 answers. Raises NotAllowedError, whatever the cause."""
        from botocore import xform_name  # noqa: PLC0415 -- 0.1 s that most commands do without
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            client = self._made()
            answer: Mapping[str, Any] = getattr(client, xform_name(action))(**said)
        except ClientError as error:
            told = error.response.get("Error", {})
            # what follows the encoded part is of no use to a person
            message = str(told.get("Message", "")).split("Encoded authorization", 1)[0].strip()
            raise NotAllowedError(action, str(told.get("Code", "")), message) from None
        except BotoCoreError as error:
            raise NotAllowedError(action, type(error).__name__, str(error)) from None
        return answer

    def all(self, action: str, items: str, **said: Any) -> list[Mapping[str, Any]]:
        """The items of every page. Raises NotAllowedError."""
        found: list[Mapping[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = self.ask(action, **said, **token)
            found += page.get(items, [])
            if not page.get("NextToken"):
                return found
            token = {"NextToken": page["NextToken"]}

    def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            self._client.close()

    def _made(self) -> Any:
        from botocore.config import Config  # noqa: PLC0415 -- as above
        from botocore.session import Session  # noqa: PLC0415

        if self._client is None:
            config = Config(
                connect_timeout=TIMEOUT,
                read_timeout=TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": 2},
                user_agent_extra="vpc-cni-cli",
            )
            self._client = Session().create_client(
                "ec2", region_name=self._region, endpoint_url=self._endpoint, config=config
            )
        return self._client


def by(name: str, *values: str) -> dict[str, Any]:
    """A filter."""
    return {"Name": name, "Values": list(values)}
