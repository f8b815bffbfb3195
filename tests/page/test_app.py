"""The page's files and questions over HTTP, and who gets the page and who AWS's API at one port."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.page.asgi import Got, get
from vpclab.lab.front import front
from vpclab.page import HOME, PodError, Seen, page_app
from vpclab.page.app import STATIC


class Lab:
    async def look(self) -> Seen:
        return Seen({})

    def remembered_calls(self) -> Sequence[Mapping[str, Any]]:
        return []

    async def pod(self, namespace: str, name: str) -> dict[str, Any]:
        if name != "web":
            raise PodError(f"there is no pod {namespace}/{name}")
        return {"rules": [], "counters": []}

    async def path(self, namespace: str, name: str, to: str) -> dict[str, Any]:
        return {"pod": f"{namespace}/{name}", "to": to}


def page() -> ASGIApp:
    return page_app(Lab())[0]


def test_the_page_and_every_file_that_it_names_are_there() -> None:
    index = get(page(), "/")
    assert (index.status, index.kind) == (200, "text/html; charset=utf-8")
    named = set(re.findall(rf'(?:src|href)="{HOME}/([\w.]+)"', index.text))
    for name in [entry.name for entry in STATIC.iterdir() if entry.name.endswith(".js")]:
        source = (STATIC / name).read_text()
        named |= set(re.findall(r'from "\./([\w.]+)"', source))
        assert "http://" not in source.replace("http://www.w3.org/2000/svg", "")
    assert named == {entry.name for entry in STATIC.iterdir()} - {"index.html"}
    for name in named:
        assert get(page(), f"{HOME}/{name}").status == 200, name


@pytest.mark.parametrize(
    "path", [f"{HOME}/../app.py", f"{HOME}/%2e%2e%2fapp.py", f"{HOME}/app.py", f"{HOME}/x.js"]
)
def test_no_other_file_is(path: str) -> None:
    assert get(page(), path).status == 404


def test_it_may_load_nothing_from_elsewhere() -> None:
    assert get(page(), "/").headers["content-security-policy"].startswith("default-src 'self';")


def test_questions_about_a_pod() -> None:
    assert get(page(), f"{HOME}/pods/default/web").json == {"rules": [], "counters": []}
    unknown = get(page(), f"{HOME}/pods/default/nobody")
    assert (unknown.status, unknown.json) == (404, {"error": "there is no pod default/nobody"})
    found = get(page(), f"{HOME}/pods/default/web/path", query="to=%20198.51.100.10:80")
    assert found.json == {"pod": "default/web", "to": "198.51.100.10:80"}


async def aws(scope: Scope, receive: Receive, send: Send) -> None:
    start: Message = {"type": "http.response.start", "status": 299, "headers": []}
    await send(start)
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "is_page"),
    [
        ("GET", "/", "", {}, True),
        ("GET", f"{HOME}/main.js", "", {}, True),
        ("POST", "/", "", {}, False),
        ("GET", "/", "Action=DescribeVpcs&Version=2016-11-15", {}, False),
        ("GET", "/", "X-Amz-Signature=1", {}, False),
        ("GET", "/", "", {"authorization": "AWS4-HMAC-SHA256 x"}, False),
        ("GET", "/clusters", "", {}, False),
    ],
)
def test_a_browser_gets_the_page_and_everybody_else_the_api(
    method: str, path: str, query: str, headers: dict[str, str], *, is_page: bool
) -> None:
    got: Got = get(front(page(), aws), path, method=method, query=query, headers=headers)
    assert (got.status != 299) == is_page
