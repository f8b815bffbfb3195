"""The metadata service, and what the node's role may do."""

from __future__ import annotations

from collections.abc import Iterator

from vpccni.cli.doctor.facts import Facts, known
from vpccni.cli.doctor.finding import Finding, Severity

SPARE = frozenset({"DescribeInstanceTypes", "DescribeInstances", "DescribeSecurityGroups"})
"""Calls that the agent makes in rare cases."""


def metadata(facts: Facts) -> Iterator[Finding]:
    """It gives a token and answers."""
    if facts.imds is not None:
        yield Finding(
            "imds",
            Severity.BROKEN,
            facts.imds,
            "the agent learns from it who the node is and which ENIs it has; an agent that starts now waits for it",
            "aws ec2 modify-instance-metadata-options --instance-id … --http-endpoint enabled; see that no firewall rule "
            "of the host and no proxy keeps 169.254.169.254 away",
        )


def hop_limit(facts: Facts) -> Iterator[Finding]:
    """More than one hop lets pods have the node's credentials."""
    limit = known(facts.hop_limit)
    if limit > 1:
        yield Finding(
            "imds-hop-limit",
            Severity.NOTE,
            f"the metadata service answers over {limit} hops: pods reach it",
            "pods can take the credentials of the node's role; aws-node itself uses the host's network and needs one hop",
            "aws ec2 modify-instance-metadata-options --instance-id … --http-put-response-hop-limit 1, once no pod "
            "needs it (IRSA or EKS Pod Identity instead)",
        )


def permissions(facts: Facts) -> Iterator[Finding]:
    """Each call that the agent makes is allowed."""
    for each in known(facts.permissions):
        if each.allowed is False:
            yield Finding(
                "iam",
                Severity.RISKY if each.action in SPARE else Severity.BROKEN,
                f"the node may not call ec2:{each.action}: {each.said}",
                "the agent cannot get, give back or look after addresses and ENIs: pods run out of addresses",
                f"allow ec2:{each.action} to the role of aws-node (the managed policy AmazonEKS_CNI_Policy has it), and "
                "look for a service control policy or a condition on tags that denies it",
            )
