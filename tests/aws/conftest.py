"""EC2 and IMDS as servers on loopback that say what a test has written down, and keep what they were asked."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl

import pytest

from vpccni.aws.ec2 import Ec2


@dataclass(frozen=True)
class Answer:
    """What the server does with one request; no status: it closes the connection without a word."""

    body: str
    status: int | None = 200
    silent: bool = False


def ok(action: str, inner: str = "<return>true</return>") -> Answer:
    namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"
    return Answer(f'<{action}Response xmlns="{namespace}"><requestId>r</requestId>{inner}</{action}Response>')


def error(code: str, message: str = "said EC2", status: int = 400) -> Answer:
    told = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(f"<Response><Errors>{told}</Errors><RequestID>r</RequestID></Response>", status)


DROPPED = Answer("", status=None)
NEVER = Answer("", silent=True)


@dataclass
class Ec2Script:
    """Answers by action, in order; the last one stays."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def say(self, action: str, *answers: Answer) -> None:
        self.answers[action] = list(answers)

    def sayings(self, action: str) -> list[dict[str, str]]:
        """What was asked under an action, without what every request has."""
        common = {"Action", "Version"}
        return [{k: v for k, v in q.items() if k not in common} for q in self.asked if q["Action"] == action]

    @property
    def actions(self) -> list[str]:
        return [query["Action"] for query in self.asked]


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece: apart, a delayed acknowledgement of 40 ms lies between them

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


class _Ec2Handler(_Quiet):
    script: ClassVar[Ec2Script]

    def do_POST(self) -> None:
        query = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.script.asked.append(query)
        left = self.script.answers[query["Action"]]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer.silent:
            self.script.over.wait(20)
        if answer.silent or answer.status is None:
            self.close_connection = True
            return
        self.answer(answer.status, answer.body)


def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """botocore finds nothing of this machine's: no files, no metadata service, no credentials."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_DATA_PATH",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def credentials(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def script() -> Iterator[Ec2Script]:
    script = Ec2Script()
    for url in serving(type("Handler", (_Ec2Handler,), {"script": script})):
        script.url = url
        yield script
        script.over.set()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def ec2(script: Ec2Script, credentials: None, slept: list[float]) -> Iterator[Ec2]:
    made = Ec2("ap-northeast-2", endpoint_url=script.url, timeout=5.0, sleep=slept.append)
    yield made
    made.close()


@dataclass
class ImdsScript:
    """Documents by path below /latest/; what was asked; how tokens are given."""

    url: str = ""
    documents: dict[str, str] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tokens: set[str] = field(default_factory=set)
    tokens_given: int = 0
    token_status: int = 200
    token_life: str | None = "21600"
    closing: bool = False
    """Close the connection after each answer without saying so, as a server does whose patience is over."""

    def forget_tokens(self) -> None:
        self.tokens.clear()


class _ImdsHandler(_Quiet):
    script: ClassVar[ImdsScript]

    def do_PUT(self) -> None:
        script = self.script
        if self.path != "/latest/api/token" or not self.headers["X-aws-ec2-metadata-token-ttl-seconds"]:
            self.answer(400, "")
        elif script.token_status != 200:
            self.answer(script.token_status, "no")
        else:
            script.tokens_given += 1
            token = f"token-{script.tokens_given}"
            script.tokens.add(token)
            life = (
                {}
                if script.token_life is None
                else {"X-aws-ec2-metadata-token-ttl-seconds": script.token_life}
            )
            self.answer(200, token, life)
        self.close_connection |= script.closing

    def do_GET(self) -> None:
        script = self.script
        script.asked[self.path] += 1
        if self.headers["X-aws-ec2-metadata-token"] not in script.tokens:
            self.answer(401, "Unauthorized")
        else:
            text = script.documents.get(self.path.removeprefix("/latest/"))
            if text is None:
                self.answer(404, "<html>Not Found</html>")
            else:
                status, _, rest = text.partition("!") if text.startswith("5") else ("200", "", text)
                self.answer(int(status), rest)
        self.close_connection |= script.closing


@pytest.fixture
def metadata() -> Iterator[ImdsScript]:
    script = ImdsScript()
    for url in serving(type("Handler", (_ImdsHandler,), {"script": script})):
        script.url = url
        yield script
