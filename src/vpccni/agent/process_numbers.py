"""The process itself, under the names that every Prometheus client library has (spec 8.2)."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from vpccni.agent.exposition import Family, counter, gauge


def process_families() -> Iterator[Family]:
    """Processor time, memory, descriptors and threads, from the kernel."""
    # after the command's name, which may hold blanks and brackets
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    yield counter(
        "process_cpu_seconds_total",
        "Processor time used, in seconds",
        ({}, (int(fields[11]) + int(fields[12])) / ticks),
    )
    yield gauge("process_threads", "Threads", ({}, int(fields[17])))
    yield gauge(
        "process_start_time_seconds",
        "When the process started",
        ({}, round(boot + int(fields[19]) / ticks, 2)),
    )
    yield gauge("process_virtual_memory_bytes", "Virtual memory", ({}, int(fields[20])))
    yield gauge("process_resident_memory_bytes", "Resident memory", ({}, int(fields[21]) * page))
    yield gauge(
        "process_open_fds", "Open file descriptors", ({}, sum(1 for _ in Path("/proc/self/fd").iterdir()))
    )
    yield gauge(
        "process_max_fds", "Most file descriptors", ({}, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    )
