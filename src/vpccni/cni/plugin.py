r"""The CNI plugin `aws-cni`: passes the call and the sandbox's descriptors to the agent and prints its answer.

Start-up is this program's whole cost, so it imports three C modules and nothing else, never parses JSON, and is
run as `python -I -S`. What travels (design, "The plugin-agent socket"):

    request   <letters>\0<CNI_X=…>\0<CNI_Y=…>\0\0<standard input>    letters: one per descriptor, in order:
                  n  the sandbox's network namespace
                  l  a NETLINK_ROUTE socket opened inside it, so that the agent needs no CAP_SYS_ADMIN
                  s  /proc/sys/net/ipv6/conf of the host, writable even if the agent's own /proc/sys is not
                  p  the same of the sandbox
    reply     <exit status>\n<what to print>
"""

import _socket
import posix
import sys

RUN_DIR = b"/var/run/aws-node"
LOG = b"/var/log/aws-routed-eni/plugin.log"
VERSION = b"v0.1.0"
ANSWER_SECONDS = 100.0  # below kubelet's two minutes for a sandbox, so that our sentence reaches the person

CLONE_NEWNET = 0x40000000
TRY_AGAIN, BAD_ENV, IO_FAILURE, BAD_NETNS, NOT_AVAILABLE = 11, 4, 5, 8, 50
ASK = (
    b"The agent does not answer on /var/run/aws-node/cni.sock: look at the aws-node pod of this node and at "
    b"/var/log/aws-routed-eni/ipamd.log; kubelet tries again by itself."
)
LINE = b'{"level":"error","ts":"%s","caller":"cni/plugin.py","msg":"%s"}\n'
REQUIRED = {
    b"ADD": (b"CNI_CONTAINERID", b"CNI_NETNS", b"CNI_IFNAME", b"CNI_PATH"),
    b"CHECK": (b"CNI_CONTAINERID", b"CNI_NETNS", b"CNI_IFNAME", b"CNI_PATH"),
    b"DEL": (b"CNI_CONTAINERID", b"CNI_IFNAME", b"CNI_PATH"),
    b"GC": (b"CNI_PATH",),
    b"STATUS": (),
}


def leave(status: int, text: bytes) -> None:
    """Print the answer whole and end without the interpreter's clean-up."""
    while text:
        text = text[posix.write(1, text) :]
    posix._exit(status)  # noqa: SLF001 -- the point: nothing to clean up


def quote(text: bytes) -> bytes:
    """The inside of a JSON string."""
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


def now() -> bytes:
    """The time as the agent's lines have it."""
    import time  # noqa: PLC0415 -- a call that does not fail needs no clock

    seconds = time.time()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return b"%s.%03dZ" % (moment.encode(), int(seconds * 1000) % 1000)


def fail(code: int, message: bytes, details: bytes = b"") -> None:
    """End with the CNI specification's error object, and a line in plugin.log if there is one."""
    answer = b'{"cniVersion":"1.0.0","code":%d,"msg":"%s","details":"%s"}' % (
        code,
        quote(message),
        quote(details),
    )
    try:
        log = posix.open(LOG, posix.O_WRONLY | posix.O_APPEND | posix.O_CLOEXEC)
        posix.write(log, LINE % (now(), quote(message)))
    except OSError:
        pass
    leave(1, answer)


def enter(namespace: int) -> None:
    """Move into a network namespace; `_ctypes` itself, for the ctypes package costs 6 ms and os.setns needs 3.12."""
    if hasattr(posix, "setns"):
        posix.setns(namespace, CLONE_NEWNET)
        return
    import _ctypes  # noqa: PLC0415 -- only where needed

    setns = _ctypes.dlsym(_ctypes.dlopen(None, 0), "setns")  # type: ignore[arg-type]  # None is the program itself
    if _ctypes.call_function(setns, (namespace, CLONE_NEWNET)) != 0:
        raise OSError(22, "setns was refused")


def descriptors(path: bytes) -> tuple[bytes, list[int]]:
    """Open what the agent needs of the sandbox at `path`; ends the program if it is no network namespace."""
    letters, fds = b"", []
    try:
        conf = posix.open("/proc/sys/net/ipv6/conf", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        letters, fds = b"s", [conf]
    except OSError:
        pass  # a kernel without IPv6
    try:
        namespace = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        own = posix.stat("/proc/self/ns/net")
        there = posix.fstat(namespace)
        if (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino):
            fail(BAD_NETNS, b"CNI_NETNS %s is the plugin's own network namespace" % path)
        enter(namespace)
        netlink = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, 0)
    except OSError as error:
        fail(BAD_NETNS, b"cannot enter the network namespace %s: %s" % (path, str(error).encode()))
    try:
        conf = posix.open("/proc/sys/net/ipv6/conf", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return letters + b"nl", [*fds, namespace, netlink.detach()]
    return letters + b"nlp", [*fds, namespace, netlink.detach(), conf]


def ask(request: bytes, fds: list[int]) -> bytes:
    """The agent's whole reply; raises OSError if it is not there, is cut off, or takes too long."""
    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    agent.settimeout(ANSWER_SECONDS)
    agent.connect(RUN_DIR + b"/cni.sock")
    rights = b"".join([fd.to_bytes(4, sys.byteorder) for fd in fds])
    sent = agent.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if fds else [])
    agent.sendall(request[sent:])
    agent.shutdown(_socket.SHUT_WR)
    reply = b""
    while chunk := agent.recv(65536):
        reply += chunk
    if b"\n" not in reply:
        raise OSError(104, "the agent went away before it answered")
    return reply


def note_deletion(env: dict[bytes, bytes], request: bytes) -> None:
    """Leave the DEL for the agent to work off when it is back: whole or not at all."""
    folder = RUN_DIR + b"/pending-del"
    for path in (RUN_DIR, folder):
        try:  # noqa: SIM105 -- contextlib would be another import to wait for
            posix.mkdir(path, 0o700)
        except FileExistsError:
            pass
    name = (
        folder
        + b"/"
        + env[b"CNI_CONTAINERID"].replace(b"/", b"_")
        + b"-"
        + env[b"CNI_IFNAME"].replace(b"/", b"_")
    )
    note = posix.open(name + b".tmp", posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600)
    while request:
        request = request[posix.write(note, request) :]
    posix.fsync(note)
    posix.rename(name + b".tmp", name)


def called() -> tuple[dict[bytes, bytes], bytes]:
    """What the runtime says in the environment, and its command; ends the program where that needs no agent."""
    env = {name: value for name, value in posix.environ.items() if name.startswith(b"CNI_")}
    command = env.get(b"CNI_COMMAND")
    if command is None:
        posix.write(
            2,
            b"AWS CNI " + VERSION + b"\nCNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n",
        )
        posix._exit(0)  # noqa: SLF001 -- as above
    if command == b"VERSION":
        leave(0, b'{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}')
    if command not in REQUIRED:
        fail(BAD_ENV, b"unknown CNI_COMMAND: " + command)
    missing = [name for name in REQUIRED[command] if not env.get(name)]
    if missing:
        fail(BAD_ENV, b"required env variables [" + b",".join(missing) + b"] missing")
    return env, command


def standard_input() -> bytes:
    """All of it: the network configuration."""
    body = b""
    while chunk := posix.read(0, 65536):
        body += chunk
    return body


def main() -> None:
    """One call of the runtime."""
    env, command = called()
    body = standard_input()
    letters, fds = descriptors(env[b"CNI_NETNS"]) if command in (b"ADD", b"CHECK") else (b"", [])
    request = b"\0".join([letters, *[b"%s=%s" % item for item in env.items()]]) + b"\0\0" + body
    try:
        reply = ask(request, fds)
    except OSError as error:
        why = b"the agent (L-IPAM) is not available: %s" % str(error).encode()
        if command == b"DEL":
            try:
                note_deletion(env, request)
            except OSError as unwritable:
                fail(
                    IO_FAILURE,
                    why + b"; the deletion could not be noted either: %s" % str(unwritable).encode(),
                    ASK,
                )
            leave(0, b"")
        if command == b"STATUS":
            fail(NOT_AVAILABLE, why, ASK)
        fail(TRY_AGAIN, b"failed to assign an IP address to container: AgentUnreachable: " + why, ASK)
    status, _, text = reply.partition(b"\n")
    leave(int(status), text)


if __name__ == "__main__":
    main()
