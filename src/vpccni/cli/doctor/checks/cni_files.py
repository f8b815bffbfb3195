"""What the runtime finds: configurations, plugins; and the agent's directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vpccni.cli.doctor.facts import CniFiles, Facts, known
from vpccni.cli.doctor.finding import Finding, MakeExecutable, Severity

CONFLIST, PLUGIN = "10-aws.conflist", "aws-cni"
LEAST_BYTES, LEAST_FILES = 64 << 20, 1024
"""Room for the checkpoint, its copy while it is written, and the journal, many times over."""
OTHERS_MAY_WRITE = 0o022


def configurations(facts: Facts) -> Iterator[Finding]:
    """Ours is there, can be read, and is the first."""
    cni = known(facts.cni)
    ours = next((file for file in cni.configs if _is_ours(file.plugins)), None)
    if ours is None:
        broken = next((f": {file.problem}" for file in cni.configs if file.name == CONFLIST), "")
        yield Finding(
            "conflist",
            Severity.BROKEN,
            f"no configuration in {cni.directory} names {PLUGIN}{broken}",
            "the runtime takes the node's network for not ready: no pod starts",
            "the agent writes it when it is ready: see its log and the findings about it",
        )
    if cni.configs and ours is not None and cni.configs[0] != ours:
        first = cni.configs[0]
        yield Finding(
            "conflist",
            Severity.BROKEN,
            f"{cni.directory / first.name} comes before {ours.name}, and the runtime uses the first",
            "new pods get another CNI's network, or none",
            f"remove {cni.directory / first.name} (another CNI's left-over?), then restart the pods made meanwhile",
        )
    yield from _others(cni, ours.name if ours is not None else "")
    if ours is not None:
        yield from _differences(facts, ours.plugins[0] if ours.plugins else {}, ours.name)


def plugins(facts: Facts) -> Iterator[Finding]:
    """Those that the configuration names are installed and can be run."""
    cni = known(facts.cni)
    ours = next((file for file in cni.configs if _is_ours(file.plugins)), None)
    wanted = [str(plugin.get("type")) for plugin in ours.plugins] if ours is not None else [PLUGIN]
    for name in dict.fromkeys(wanted):
        file = cni.plugins.get(name)
        agents = "restart the agent, which installs it"
        install = agents if name == PLUGIN else "install the CNI project's standard plugins"
        why = "the runtime cannot connect any pod"
        if file is None:
            yield Finding("plugins", Severity.BROKEN, f"the plugin {name} is not installed", why, install)
        elif not file.executable:
            mends = (MakeExecutable(file.path),) if name == PLUGIN else ()
            said = f"{file.path} is not executable"
            yield Finding("plugins", Severity.BROKEN, said, why, f"chmod 755 {file.path}", mends)
        elif not file.interpreter_there:
            said = f"{file.path} wants {file.interpreter}, which is not there"
            fix = f"install {Path(file.interpreter).name}, or {agents} for an interpreter that is there"
            yield Finding("plugins", Severity.BROKEN, said, why, fix)


def run_directory(facts: Facts) -> Iterator[Finding]:
    """The agent can write there, and nobody else."""
    run_dir = known(facts.run_dir)
    path = run_dir.path
    if run_dir.read_only:
        yield Finding(
            "run-dir",
            Severity.BROKEN,
            f"{path} is read-only",
            "an assignment is written down before a pod gets it: no pod can start",
            "remount it writable (mount -o remount,rw …), and see why the kernel made it read-only (dmesg)",
        )  # fmt: skip
    if run_dir.owner != 0 or run_dir.mode & OTHERS_MAY_WRITE:
        yield Finding(
            "run-dir",
            Severity.RISKY,
            f"{path} belongs to user {run_dir.owner} and has mode {run_dir.mode & 0o777:o}: others than root may write there",
            "whoever replaces the socket or the checkpoint decides over the pods' network",
            f"chown root {path}; chmod 755 {path}",
        )
    if run_dir.free_bytes < LEAST_BYTES:
        yield Finding(
            "run-dir",
            Severity.BROKEN if run_dir.free_bytes < LEAST_BYTES // 16 else Severity.RISKY,
            f"the file system of {path} has {run_dir.free_bytes >> 20} MiB left",
            "an assignment is written down before a pod gets it: with no room no pod can start",
            "make room; look for logs and images that grew",
        )
    if run_dir.free_files is not None and run_dir.free_files < LEAST_FILES:
        yield Finding(
            "run-dir",
            Severity.RISKY,
            f"the file system of {path} can take {run_dir.free_files} more files",
            "with none left the checkpoint cannot be written, and no pod can start",
            "remove files; many small ones in one place are the usual cause",
        )


def _others(cni: CniFiles, ours: str) -> Iterator[Finding]:
    for file in cni.configs[1:] if cni.configs and cni.configs[0].name == ours else cni.configs:
        if file.name == ours:
            continue
        if file.problem:
            said = f"{cni.directory / file.name} cannot be read: {file.problem}"
            fix = "mend or remove it"
        else:
            said = f"{cni.directory / file.name} is another network configuration"
            fix = "remove it if that CNI is not in use any more"
        yield Finding(
            "other-conflists",
            Severity.NOTE,
            said,
            "the runtime uses the first by name; should ours go, as at a drain, pods get this one",
            fix,
        )


def _differences(facts: Facts, plugin: object, name: str) -> Iterator[Finding]:
    settings = facts.settings.settings
    said = plugin if isinstance(plugin, dict) else {}
    for key, wanted, variable in (
        ("vethPrefix", settings.veth_prefix, "AWS_VPC_K8S_CNI_VETHPREFIX"),
        ("mtu", str(settings.pod_mtu), "POD_MTU or AWS_VPC_ENI_MTU"),
    ):
        if key in said and str(said[key]) != wanted:
            yield Finding(
                "conflist",
                Severity.RISKY,
                f"{name} has {key} {said[key]}, the agent's settings say {wanted} ({variable})",
                "the agent writes the file at its start: somebody else changed it since, or it runs with other settings",
                "restart the agent",
            )


def _is_ours(plugins: object) -> bool:
    return isinstance(plugins, tuple) and any(plugin.get("type") == PLUGIN for plugin in plugins)
