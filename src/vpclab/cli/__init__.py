"""`vpc-lab`: a VPC with an EKS cluster's networking, on this machine. Commands by topic, a file each."""

from vpclab.cli import agents, faults, labs, nodes, pods, proof
from vpclab.cli.base import main

__all__ = ["agents", "faults", "labs", "main", "nodes", "pods", "proof"]
