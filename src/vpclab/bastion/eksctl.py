"""The lab's stand-in for `eksctl`, where a person has none: the study's four commands, asked of the lab's EKS API.

It says on standard error that it is one, so that nobody takes what it prints for eksctl's own words.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import botocore.exceptions
import botocore.session

NOTE = "(vpc-lab's stand-in for eksctl: get cluster, get nodegroup, get addon, utils describe-addon-versions)"
FLAGS = {"--cluster": "cluster", "-c": "cluster", "--name": "name", "--region": "region", "-r": "region",
         "--kubernetes-version": "version", "-k": "version", "--output": "output", "-o": "output"}  # fmt: skip
Rows = list[list[str]]


class UsageError(Exception):
    """What was asked is none of the four."""


def main() -> None:
    """Run one of them; exit 1 with the API's words if it refuses."""
    sys.stderr.write(f"{NOTE}\n")
    try:
        sys.stdout.write(answer(sys.argv[1:]))
    except (UsageError, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        sys.exit(f"Error: {error}")


def answer(arguments: Sequence[str]) -> str:
    """What the command prints. Raises UsageError, or botocore's errors."""
    words, flags = _parsed(arguments)
    command = COMMANDS.get(tuple(words[:2]))
    if command is None:
        raise UsageError(f"this stand-in does not know: {' '.join(arguments)}")
    flags.setdefault("name", words[2] if len(words) > 2 else "")
    region = flags.get("region") or os.environ.get("AWS_DEFAULT_REGION") or "ap-northeast-2"
    eks = botocore.session.get_session().create_client("eks", region)
    return command(eks, flags | {"region": region})


def table(rows: Rows) -> str:
    """Columns apart by tabs to the same stops, as eksctl does it."""
    widths = [max(len(row[at]) // 8 + 1 for row in rows) for at in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = [cell + "\t" * (widths[at] - len(cell) // 8) for at, cell in enumerate(row[:-1])]
        lines.append("".join([*padded, row[-1]]).rstrip("\t"))
    return "\n".join(lines) + "\n"


def _clusters(eks: Any, flags: dict[str, str]) -> str:
    names = [flags["name"]] if flags["name"] else eks.list_clusters()["clusters"]
    for name in names:
        eks.describe_cluster(name=name)
    return table(
        [["NAME", "REGION", "EKSCTL CREATED"], *([name, flags["region"], "False"] for name in names)]
    )


def _node_groups(eks: Any, flags: dict[str, str]) -> str:
    cluster = _cluster(flags)
    rows = [["CLUSTER", "NODEGROUP", "STATUS", "CREATED", "MIN SIZE", "MAX SIZE", "DESIRED CAPACITY", "INSTANCE TYPE",
             "IMAGE ID", "ASG NAME", "TYPE"]]  # fmt: skip
    for name in eks.list_nodegroups(clusterName=cluster)["nodegroups"]:
        group = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
        size = group.get("scalingConfig", {})
        asgs = group.get("resources", {}).get("autoScalingGroups", ())
        rows.append([
            cluster, name, group["status"], f"{group['createdAt']:%Y-%m-%dT%H:%M:%SZ}",
            *(str(size.get(key, "")) for key in ("minSize", "maxSize", "desiredSize")),
            ",".join(group.get("instanceTypes", ())), group.get("amiType", ""),
            ",".join(asg["name"] for asg in asgs), "managed",
        ])  # fmt: skip
    return table(rows)


def _addons(eks: Any, flags: dict[str, str]) -> str:
    cluster = _cluster(flags)
    rows = [["NAME", "VERSION", "STATUS", "ISSUES", "IAMROLE", "UPDATE AVAILABLE", "CONFIGURATION VALUES"]]
    for name in eks.list_addons(clusterName=cluster)["addons"]:
        addon = eks.describe_addon(clusterName=cluster, addonName=name)["addon"]
        issues = addon.get("health", {}).get("issues", ())
        rows.append([
            name, addon["addonVersion"], addon["status"], str(len(issues)), addon.get("serviceAccountRoleArn", ""),
            "", addon.get("configurationValues", ""),
        ])  # fmt: skip
    return table(rows)


def _versions(eks: Any, flags: dict[str, str]) -> str:
    asked = {"kubernetesVersion": flags["version"]} if "version" in flags else {}
    if flags["name"]:
        asked["addonName"] = flags["name"]
    found: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = eks.describe_addon_versions(**asked, **token)
        found += page["addons"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    upper = [
        {"AddonName": one["addonName"], "Type": one.get("type", ""), "AddonVersions": one["addonVersions"]}
        for one in found
    ]
    return json.dumps({"Addons": upper}, indent="\t", default=str) + "\n"


COMMANDS: dict[tuple[str, ...], Callable[[Any, dict[str, str]], str]] = {
    ("get", "cluster"): _clusters,
    ("get", "clusters"): _clusters,
    ("get", "nodegroup"): _node_groups,
    ("get", "nodegroups"): _node_groups,
    ("get", "addon"): _addons,
    ("get", "addons"): _addons,
    ("utils", "describe-addon-versions"): _versions,
}


def _cluster(flags: dict[str, str]) -> str:
    if not flags.get("cluster"):
        raise UsageError("--cluster must be set")
    return flags["cluster"]


def _parsed(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    words: list[str] = []
    flags: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        if not word.startswith("-"):
            words.append(word + equals + value)
            continue
        if word not in FLAGS:
            raise UsageError(f"this stand-in does not know {word}")
        if not equals:
            if not rest:
                raise UsageError(f"{word} has no value")
            value = rest.pop(0)
        flags[FLAGS[word]] = value
    return words, flags


if __name__ == "__main__":
    main()
