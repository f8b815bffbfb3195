"""The conflist that makes kubelet's node Ready: rendered from the settings, put in place whole (spec 1.6).

Whoever mounts a template of his own keeps all that is in it: what we do not know, we do not drop (spec 11.52).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, TypeAlias

from vpccni.agent.files import write_whole
from vpccni.agent.settings import Settings

log = logging.getLogger(__name__)

NAME = "10-aws.conflist"
TEMPLATE = Path("/app") / NAME
"""Where the original's chart mounts a user's template (cniConfig)."""
EGRESS = "egress-cni"
NodeIp: TypeAlias = IPv4Address | IPv6Address | None
"""What the pods' packets of the other family leave the node with."""


def conflist(settings: Settings, template: str | None = None, *, node_ip: NodeIp = None) -> dict[str, Any]:
    """The network configuration list: aws-cni, then the plugins that the settings ask for.

    egress-cni is in it only if it has something to do, the node's address of the pods' other family among it: where the original's is always
    there and switched off, each pod would wait for it for nothing.

    With a `template` what that says, and of the plugins asked for those that it has not got. Raises ValueError, which
    names the problem, if the template is no network configuration list.
    """
    values = _placeholders(settings, node_ip)
    found = _built_in(values) if template is None else _rendered(template, values)
    plugins = found["plugins"]
    types = {plugin.get("type") for plugin in plugins}
    if settings.bandwidth_plugin and "bandwidth" not in types:
        plugins.append({"type": "bandwidth", "capabilities": {"bandwidth": True}})
    if settings.disable_pod_v6 and "tuning" not in types:
        keys = ("all", "default", "lo")
        plugins.append(
            {"type": "tuning", "sysctl": {f"net.ipv6.conf.{key}.disable_ipv6": "1" for key in keys}}
        )
    return found


def write_conflist(settings: Settings, template: Path = TEMPLATE, *, node_ip: NodeIp = None) -> bool:
    """Write the conflist where the runtime looks; True if anything changed. Raises OSError.

    A template that cannot be used is said and passed over: a node without any conflist runs no pod.
    """
    try:
        found = conflist(settings, template.read_text(), node_ip=node_ip)
    except FileNotFoundError:
        found = conflist(settings, node_ip=node_ip)
    except ValueError as error:
        log.error("%s cannot be used: %s; using the built-in configuration", template, error)
        found = conflist(settings, node_ip=node_ip)
    text = json.dumps(found, indent=2) + "\n"
    return write_whole(settings.host_conf_dir / NAME, text.encode(), 0o644)


def _built_in(values: Mapping[str, str]) -> dict[str, Any]:
    aws_cni = {
        "name": "aws-cni",
        "type": "aws-cni",
        "vethPrefix": values["__VETHPREFIX__"],
        "mtu": values["__MTU__"],
        "podSGEnforcingMode": values["__PODSGENFORCINGMODE__"],
        "pluginLogFile": values["__PLUGINLOGFILE__"],
        "pluginLogLevel": values["__PLUGINLOGLEVEL__"],
        "capabilities": {"io.kubernetes.cri.pod-annotations": True},
    }
    egress = {
        "name": EGRESS,
        "type": EGRESS,
        "mtu": values["__MTU__"],
        "enabled": values["__EGRESSPLUGINENABLED__"],
        "randomizeSNAT": values["__RANDOMIZESNAT__"],
        "nodeIP": values["__NODEIP__"],
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": values["__EGRESSPLUGINIPAMSUBNET__"]}]],
            "routes": [{"dst": values["__EGRESSPLUGINIPAMDST__"]}],
            "dataDir": values["__EGRESSPLUGINIPAMDATADIR__"],
        },
        "pluginLogFile": values["__EGRESSPLUGINLOGFILE__"],
        "pluginLogLevel": values["__PLUGINLOGLEVEL__"],
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {
        "cniVersion": "0.4.0",
        "name": "aws-cni",
        "disableCheck": False,
        "plugins": [aws_cni, egress, portmap] if _is_on(egress) else [aws_cni, portmap],
    }


def _is_on(plugin: Mapping[str, Any]) -> bool:
    return plugin.get("type") != EGRESS or plugin.get("enabled") == "true"


def _rendered(template: str, values: Mapping[str, str]) -> dict[str, Any]:
    for name, value in values.items():
        template = template.replace(name, json.dumps(value)[1:-1])
    try:
        found = json.loads(template)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    plugins = found.get("plugins") if isinstance(found, dict) else None
    if not isinstance(plugins, list) or not all(isinstance(plugin, dict) for plugin in plugins):
        raise ValueError("it has no list of plugins")
    if "aws-cni" not in (plugin.get("type") for plugin in plugins):
        raise ValueError("it does not have aws-cni among its plugins")
    return {**found, "plugins": [plugin for plugin in plugins if _is_on(plugin)]}


def _placeholders(settings: Settings, node_ip: NodeIp) -> dict[str, str]:
    """What a template may ask for (spec 1.6)."""
    on = node_ip is not None and (settings.v4_egress if settings.ipv6 else settings.v6_egress)
    subnet, destination, directory = (
        ("169.254.172.0/22", "0.0.0.0/0", "/run/cni/v6pd/egress-v4-ipam")
        if settings.ipv6
        else ("fd00::ac:00/118", "::/0", "/run/cni/v4pd/egress-v6-ipam")
    )
    return {
        "__VETHPREFIX__": settings.veth_prefix,
        "__MTU__": str(settings.pod_mtu),
        "__PODSGENFORCINGMODE__": settings.enforcing.value,
        "__PLUGINLOGFILE__": settings.plugin_log_file,
        "__PLUGINLOGLEVEL__": settings.plugin_log_level,
        "__RANDOMIZESNAT__": settings.randomize_snat.value,
        "__EGRESSPLUGINENABLED__": "true" if on else "false",
        "__EGRESSPLUGINLOGFILE__": settings.egress_log_file,
        "__EGRESSPLUGINIPAMSUBNET__": subnet,
        "__EGRESSPLUGINIPAMDST__": destination,
        "__EGRESSPLUGINIPAMDATADIR__": directory,
        "__NODEIP__": str(node_ip) if on else "",
    }
