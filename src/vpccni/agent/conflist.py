"""The conflist that makes kubelet's node Ready: rendered from the settings, put in place whole (spec 1.6)."""

from __future__ import annotations

import json
from typing import Any

from vpccni.agent.files import write_whole
from vpccni.agent.settings import Settings

NAME = "10-aws.conflist"


def conflist(settings: Settings) -> dict[str, Any]:
    """The network configuration list: aws-cni, then the stock plugins that the settings ask for."""
    plugins: list[dict[str, Any]] = [
        {
            "name": "aws-cni",
            "type": "aws-cni",
            "vethPrefix": settings.veth_prefix,
            "mtu": str(settings.pod_mtu),
            "podSGEnforcingMode": "strict",
            "pluginLogFile": settings.plugin_log_file,
            "pluginLogLevel": settings.plugin_log_level,
            "capabilities": {"io.kubernetes.cri.pod-annotations": True},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    ]
    if settings.bandwidth_plugin:
        plugins.append({"type": "bandwidth", "capabilities": {"bandwidth": True}})
    if settings.disable_pod_v6:
        keys = ("all", "default", "lo")
        plugins.append(
            {"type": "tuning", "sysctl": {f"net.ipv6.conf.{key}.disable_ipv6": "1" for key in keys}}
        )
    return {"cniVersion": "0.4.0", "name": "aws-cni", "disableCheck": False, "plugins": plugins}


def write_conflist(settings: Settings) -> bool:
    """Write the conflist where the runtime looks; True if anything changed."""
    text = json.dumps(conflist(settings), indent=2) + "\n"
    return write_whole(settings.host_conf_dir / NAME, text.encode(), 0o644)
