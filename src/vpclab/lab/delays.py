"""How long EC2 and IMDS take in a lab: not at all, or as in life."""

from vpclab.region import Delays, Latency

NO_DELAYS = Delays(attach=(0.0, 0.0), detach=(0.0, 0.0))
REAL_DELAYS = Delays(imds=(0.1, 0.7), shutdown=(1.0, 3.0))
"""IMDS lacked a new ENI for 0.1 to 0.3 s and its addresses for 0.4 s more (aws-emulation 4.5); the shutdown is an estimate."""
REAL_LATENCY = Latency(
    every=(0.02, 0.1),
    by_action={
        "CreateNetworkInterface": (0.2, 0.4),
        "AttachNetworkInterface": (0.2, 0.4),
        "AssignPrivateIpAddresses": (0.4, 0.6),
        "UnassignPrivateIpAddresses": (0.4, 0.6),
    },
)
"""Seconds of calls: 0.2 s for a create, 0.4 to 0.6 s for an assign (aws-emulation 4.5); the others are estimates."""
