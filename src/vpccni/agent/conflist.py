"""The conflist that makes kubelet's node Ready: rendered from the settings, put in place whole (spec 1.6).

Whoever mounts a template of his own keeps all that is in it: what we do not know, we do not drop (spec 11.52).
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from vpccni.agent.files import write_whole
from vpccni.agent.settings import Settings

log = logging.getLogger(__name__)

NAME = "10-aws.conflist"
TEMPLATE = Path("/app") / NAME
"""Where the original's chart mounts a user's template (cniConfig)."""
NOT_OURS = "egress-cni"
"""A plugin of the original that we do not install: named in a conflist it would fail every pod."""


def conflist(settings: Settings, template: str | None = None) -> dict[str, Any]:
    """The network configuration list: aws-cni, then the stock plugins that the settings ask for.

    With a `template` what that says, and of the plugins asked for those that it has not got. Raises ValueError, which
    names the problem, if the template is no network configuration list.
    """
    found = _built_in(settings) if template is None else _rendered(template, settings)
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


def write_conflist(settings: Settings, template: Path = TEMPLATE) -> bool:
    """Write the conflist where the runtime looks; True if anything changed. Raises OSError.

    A template that cannot be used is said and passed over: a node without any conflist runs no pod.
    """
    try:
        found = conflist(settings, template.read_text())
    except FileNotFoundError:
        found = conflist(settings)
    except ValueError as error:
        log.error("%s cannot be used: %s; using the built-in configuration", template, error)
        found = conflist(settings)
    text = json.dumps(found, indent=2) + "\n"
    return write_whole(settings.host_conf_dir / NAME, text.encode(), 0o644)


def _built_in(settings: Settings) -> dict[str, Any]:
    values = _placeholders(settings)
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
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {
        "cniVersion": "0.4.0",
        "name": "aws-cni",
        "disableCheck": False,
        "plugins": [aws_cni, portmap],
    }


def _rendered(template: str, settings: Settings) -> dict[str, Any]:
    for name, value in _placeholders(settings).items():
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
    kept = [plugin for plugin in plugins if plugin.get("type") != NOT_OURS]
    if len(kept) < len(plugins):
        log.warning("the template's %s is left out: this version does not have that plugin", NOT_OURS)
    return {**found, "plugins": kept}


def _placeholders(settings: Settings) -> dict[str, str]:
    """What a template may ask for. Those of egress-cni are for a plugin that is left out, and say that it is off."""
    return {
        "__VETHPREFIX__": settings.veth_prefix,
        "__MTU__": str(settings.pod_mtu),
        "__PODSGENFORCINGMODE__": settings.enforcing.value,
        "__PLUGINLOGFILE__": settings.plugin_log_file,
        "__PLUGINLOGLEVEL__": settings.plugin_log_level,
        "__RANDOMIZESNAT__": settings.randomize_snat.value,
        "__EGRESSPLUGINENABLED__": "false",
        "__EGRESSPLUGINLOGFILE__": settings.plugin_log_file,
        "__EGRESSPLUGINIPAMSUBNET__": "fd00::ac:00/118",
        "__EGRESSPLUGINIPAMDST__": "::/0",
        "__EGRESSPLUGINIPAMDATADIR__": "/run/cni/v4pd/egress-v6-ipam",
        "__NODEIP__": "",
    }
