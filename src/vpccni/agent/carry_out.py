"""Carries the pool's actions out against EC2 and the host, in threads of its own, and says what came of each.

An ADD that the pool can serve never waits for anything here (design, idea 2): the threads are not the ones that wire
pods, and an ENI is set up over a netlink socket of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from vpccni.aws.ec2 import Ec2, NewEni
from vpccni.aws.eni_lifecycle import attach_new_eni, remove_eni
from vpccni.aws.errors import Ec2Failure
from vpccni.aws.imds import NodeFacts
from vpccni.aws.tags import eni_tags
from vpccni.ipam.actions import (
    Action,
    AssignAddresses,
    Assigned,
    AttachEni,
    Attached,
    Detached,
    DetachEni,
    Failed,
    Outcome,
    ReleaseAddresses,
    Released,
)
