"""An API server that says what a test wrote down, over a real socket."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Json


@dataclass(slots=True)
class Reply:
    """`stream`: a watch's events, after which the connection is cut (`broken`) or ended."""

    status: int = 200
    body: Json | str = field(default_factory=dict)
    stream: list[Json] | None = None
    broken: bool = False


def refusal(status: int, message: str) -> Reply:
    return Reply(status, {"kind": "Status", "code": status, "message": message})


@dataclass(slots=True)
class ApiServer:
    """Each reply is used once, in their order by method and path; the last one again and again."""

    url: str = ""
    replies: dict[tuple[str, str], list[Reply]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    tokens: set[str] | None = None
    """Those that are taken; None: whatever comes."""

    def on(self, method: str, path: str, *replies: Reply) -> None:
        self.replies.setdefault((method, path), []).extend(replies)

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.tokens is not None and request.headers.get("authorization", "")[7:] not in self.tokens:
            return refusal(401, "Unauthorized")
        # a watch has a path of its own here: the list and the stream differ
        key = (request.method, request.path + ("?watch" if "watch" in request.query else ""))
        replies = self.replies.get(key)
        if not replies:
            return refusal(404, "not found")
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def asked(self, method: str) -> list[Request]:
        return [r for r in self.requests if r.method == method]


@contextmanager
def api_server(port: int = 0, tls: Path | None = None) -> Iterator[ApiServer]:
    """`tls`: a directory with certificate.pem and key.pem; clients must have that certificate, too."""
    api = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = api.answer(
                Request(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    {k.lower(): v for k, v in self.headers.items()},
                    json.loads(content) if content else {},
                )
            )
            self.send_response(reply.status)
            self.send_header("Connection", "close")
            if reply.stream is None:
                body = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in reply.stream:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"20\r\n{" if reply.broken else b"0\r\n\r\n")

        do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 -- the standard library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's name
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that was refused, or has gone: its own test tells."""

    server = Server(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "certificate.pem", tls / "key.pem")
        context.load_verify_locations(tls / "certificate.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    api.url = f"http{'' if tls is None else 's'}://127.0.0.1:{server.server_address[1]}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
