"""The assignments on disk: the original's checkpoint file at rest, a journal beside it for each ADD and DEL.

An assignment is on disk before the pod is wired (design, idea 5). A line of journal and one fsync serve all the
calls that wait at that moment, so the cost of an ADD does not grow with the pods on the node (idea 6).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vpccni.ipam.checkpoint import Checkpoint

log = logging.getLogger(__name__)
