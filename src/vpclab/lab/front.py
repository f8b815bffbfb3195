"""What is behind the lab's port on the machine's loopback: the page for a browser, AWS's API for everybody else."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from vpclab.page import HOME

GET = ("GET", "HEAD")


def front(page: ASGIApp, api: ASGIApp) -> ASGIApp:
    """One application of both. A request of AWS's names an action, or is signed; the page's never is."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        await (page if scope["type"] == "http" and _for_page(Request(scope)) else api)(scope, receive, send)

    return either


def _for_page(request: Request) -> bool:
    path = request.url.path
    if path.startswith(f"{HOME}/"):
        return True
    asked = request.query_params
    signed = "authorization" in request.headers or "X-Amz-Signature" in asked or "Action" in asked
    return path == "/" and request.method in GET and not signed
