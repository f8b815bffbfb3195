"""The CNI plugin `egress-cni` (spec 4.9): an address from `host-local`, and the rest from the agent.

It stands behind aws-cni in the list, and gives an IPv4 pod a second interface by which it reaches IPv6, or the other way
round. Addresses are
`host-local`'s, in the directory that the original's plugin uses, so that the two can follow each other on a node. Whatever
is to be made of the sandbox and the host the agent makes, as for aws-cni. A DEL never fails: what the agent does not
take away now goes with its next start.
"""

import json
import posix

from vpccni.cni import plugin

IPAM_FAILED = 999


def run(program: str, stdin: bytes) -> tuple[int, bytes]:
    """Exit status and output of a plugin, in our own environment."""
    in_read, in_write = posix.pipe()
    out_read, out_write = posix.pipe()
    actions = [
        (posix.POSIX_SPAWN_DUP2, in_read, 0),
        (posix.POSIX_SPAWN_DUP2, out_write, 1),
        *((posix.POSIX_SPAWN_CLOSE, fd) for fd in (in_read, in_write, out_read, out_write)),
    ]
    pid = posix.posix_spawn(program, [program], posix.environ, file_actions=actions)
    posix.close(in_read)
    posix.close(out_write)
    while stdin:
        stdin = stdin[posix.write(in_write, stdin) :]
    posix.close(in_write)
    said = b""
    while chunk := posix.read(out_read, 65536):
        said += chunk
    posix.close(out_read)
    return posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1]), said


def ipam(conf: dict[str, object], text: bytes) -> tuple[int, bytes]:
    """The address manager that the configuration names, for the runtime's command."""
    wanted = conf.get("ipam")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(kind, str) or not kind or "/" in kind:
        plugin.fail(7, b"egress-cni: the configuration has no ipam.type")
    for folder in posix.environ[b"CNI_PATH"].split(b":"):
        program = f"{folder.decode()}/{kind}"
        try:
            if posix.access(program, posix.X_OK):
                return run(program, text)
        except OSError as error:
            plugin.fail(IPAM_FAILED, f"egress-cni: {program} does not run: {error}".encode())
    plugin.fail(IPAM_FAILED, f"egress-cni: {kind} is in no directory of CNI_PATH".encode())
    raise AssertionError


def add(env: dict[bytes, bytes], conf: dict[str, object], text: bytes) -> None:
    """The previous plugin's result, with our interfaces."""
    if not isinstance(conf.get("prevResult"), dict):
        plugin.fail(7, b"egress-cni: must be called as a chained plugin")
    if conf.get("enabled") != "true":
        plugin.leave(0, json.dumps(conf["prevResult"], indent=4).encode())
    status, said = ipam(conf, text)
    if status != 0:
        plugin.leave(status, said)
    letters, fds = plugin.descriptors(env[b"CNI_NETNS"])
    body = json.dumps({**conf, "ipamResult": json.loads(said)}).encode()
    try:
        status, said = answer(env, letters, fds, body)
    except OSError as error:
        status, said = -1, str(error).encode()
    if status != 0:
        release(conf, text)
    if status < 0:
        plugin.fail(plugin.TRY_AGAIN, b"egress-cni: the agent (L-IPAM) is not available: " + said, plugin.ASK)
    plugin.leave(status, said)


def delete(env: dict[bytes, bytes], conf: dict[str, object], text: bytes) -> None:
    """The address is free last: nobody else may have it while the old rules are there."""
    if conf.get("enabled") == "true":
        try:  # noqa: SIM105 -- contextlib would be another import to wait for
            answer(env, b"", [], text)
        except OSError:
            pass  # its next start sweeps, by then the veth has gone with the sandbox
        ipam(conf, text)
    plugin.leave(0, b"")


def release(conf: dict[str, object], text: bytes) -> None:
    """Give the address back that ADD cannot use."""
    posix.environ[b"CNI_COMMAND"] = b"DEL"
    ipam(conf, text)


def answer(env: dict[bytes, bytes], letters: bytes, fds: list[int], body: bytes) -> tuple[int, bytes]:
    """The agent's; raises OSError if there is none."""
    request = b"\0".join([letters, *[b"%s=%s" % item for item in env.items()]]) + b"\0\0" + body
    status, _, said = plugin.ask(request, fds).partition(b"\n")
    return int(status), said


def main() -> None:
    """One call of the runtime."""
    env, command = plugin.called()
    text = plugin.standard_input()
    try:
        conf = json.loads(text)
    except ValueError as error:
        plugin.fail(6, b"the network configuration is not JSON: " + str(error).encode())
    if isinstance(log := conf.get("pluginLogFile"), str):
        plugin.LOG = log.encode()
    if command == b"ADD":
        add(env, conf, text)
    if command == b"DEL":
        delete(env, conf, text)
    if command == b"CHECK" and conf.get("enabled") == "true":
        letters, fds = plugin.descriptors(env[b"CNI_NETNS"])
        try:
            plugin.leave(*answer(env, letters, fds, text))
        except OSError as error:
            plugin.fail(plugin.TRY_AGAIN, b"the agent (L-IPAM) is not available: %s" % str(error).encode())
    plugin.leave(0, b"")


if __name__ == "__main__":
    main()
