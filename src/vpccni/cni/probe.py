"""`grpc-health-probe`: asks a gRPC server whether it serves, as the original's container does for kubelet (spec 1.5).

Kubelet runs it every ten seconds, twice, so it is written like the plugin: two C modules, one request of HTTP/2 by hand, and
no library to load. It stands beside the plugin in the one program that the image has of both.
"""

import _socket
import sys

BAD_ARGUMENTS, NOT_CONNECTED, FAILED, UNHEALTHY = 1, 2, 3, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
SERVING = b"\x08\x01"
"""HealthCheckResponse{status: SERVING}"""
STATES = {b"": "UNKNOWN", b"\x08\x02": "NOT_SERVING", b"\x08\x03": "SERVICE_UNKNOWN"}
UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0))
DEFAULTS = {
    "addr": "",
    "service": "",
    "user-agent": "grpc-health-probe",
    "connect-timeout": "1s",
    "rpc-timeout": "1s",
}


class ProbeError(Exception):
    """What went wrong, and the exit status that says so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def options(arguments: list[str]) -> dict[str, str]:
    """The flags, in any of the ways in which Go takes them. Raises ProbeError."""
    found = dict(DEFAULTS)
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).lstrip("-").partition("=")
        if name == "v" and value in ("", "true", "false"):
            continue
        if name not in found:
            raise ProbeError(BAD_ARGUMENTS, f"there is no flag -{name}")
        if not equals:
            if not rest:
                raise ProbeError(BAD_ARGUMENTS, f"-{name} has no value")
            value = rest.pop(0)
        found[name] = value
    if not found["addr"]:
        raise ProbeError(
            BAD_ARGUMENTS, "-addr says which server to ask: -addr=unix:///path or -addr=host:port"
        )
    return found


def seconds(duration: str) -> float:
    """Go's spelling of a duration. Raises ProbeError."""
    for unit, each in UNITS:
        number = duration.removesuffix(unit)
        if number != duration and number.replace(".", "", 1).isdigit():
            return float(number) * each
    raise ProbeError(BAD_ARGUMENTS, f"{duration!r} is no duration such as 5s or 500ms")


def connected(address: str, patience: float) -> _socket.socket:
    """A connection to the server. Raises ProbeError."""
    path = address.removeprefix("unix://") if address.startswith("unix://") else address.removeprefix("unix:")
    try:
        if path != address:
            server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            server.settimeout(patience)
            server.connect(path)
        else:
            host, _, port = address.rpartition(":")
            server = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            server.settimeout(patience)
            server.connect((host, int(port)))
    except (OSError, ValueError) as error:
        raise ProbeError(
            NOT_CONNECTED, f"{address} cannot be reached within {patience:g} s: {error}"
        ) from None
    return server


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One of HTTP/2 (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def request(service: str, agent: str) -> bytes:
    """grpc.health.v1.Health/Check, whole, on stream 1. Header fields are literals (RFC 7541, 6.2.2)."""
    headers = (
        b"\x83\x86"  # :method POST, :scheme http
        + _literal(b"\x04", "/grpc.health.v1.Health/Check")
        + _literal(b"\x01", "localhost")
        + _literal(b"\x0f\x10", "application/grpc")
        + _literal(b"\x0f\x2b", agent)
        + b"\x00\x02te"
        + _literal(b"", "trailers")
    )
    named = service.encode()[:127]
    message = b"\x0a" + bytes((len(named),)) + named if named else b""
    return (
        PREFACE
        + frame(SETTINGS, 0, 0, b"")
        + frame(HEADERS, END_HEADERS, 1, headers)
        + frame(DATA, END_STREAM, 1, b"\x00" + len(message).to_bytes(4) + message)
    )


def answer(server: _socket.socket) -> bytes:
    """The reply's message. Raises ProbeError if the server answers with anything else, or OSError."""
    unread, said = b"", b""
    while True:
        while len(unread) >= 9 and len(unread) >= 9 + int.from_bytes(unread[:3]):
            length, kind, flags = int.from_bytes(unread[:3]), unread[3], unread[4]
            payload, unread = unread[9 : 9 + length], unread[9 + length :]
            if kind in (SETTINGS, PING) and not flags & ACK:
                server.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
            if kind == DATA:
                said += payload
            if kind in (RST_STREAM, GOAWAY) or (kind in (DATA, HEADERS) and flags & END_STREAM):
                if len(said) < 5:
                    raise ProbeError(FAILED, "the server answered with an error in place of its health")
                return said[5 : 5 + int.from_bytes(said[1:5])]
        chunk = server.recv(65536)
        if not chunk:
            raise ProbeError(FAILED, "the server closed the connection before it answered")
        unread += chunk


def main() -> None:
    """Ask, say what came of it, and exit as the original's probe does."""
    try:
        asked = options(sys.argv[1:])
        server = connected(asked["addr"], seconds(asked["connect-timeout"]))
        patience = seconds(asked["rpc-timeout"])
        server.settimeout(patience)
        try:
            server.sendall(request(asked["service"], asked["user-agent"]))
            state = answer(server)
        except OSError as error:
            raise ProbeError(FAILED, f"no answer within {patience:g} s: {error}") from None
        if state != SERVING:
            raise ProbeError(
                UNHEALTHY, f"service unhealthy (responded with {STATES.get(state, repr(state))!r})"
            )
    except ProbeError as error:
        sys.stderr.write(f"grpc-health-probe: {error}\n")
        raise SystemExit(error.status) from None
    sys.stdout.write("status: SERVING\n")


def _literal(name: bytes, value: str) -> bytes:
    """A header field; `name` is its name's index in HPACK's static table, or nothing if it was written already."""
    text = value.encode()[:126]
    return name + bytes((len(text),)) + text


if __name__ == "__main__":
    main()
