"""`vpc-lab`: a VPC with an EKS cluster's networking, on this machine. Commands by topic, a file each."""

from vpclab.cli import agents, faults, images, kubernetes, labs, nodes, pods, proof, study
from vpclab.cli.base import main

__all__ = ["agents", "faults", "images", "kubernetes", "labs", "main", "nodes", "pods", "proof", "study"]
