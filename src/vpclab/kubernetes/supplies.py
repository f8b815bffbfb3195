"""What a cluster is made of, beside the region: programs, images, and where its disks lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vpclab.bastion import Kit, gather_kit
from vpclab.images import ImageError, LabImages, build_images
from vpclab.kubernetes.binaries import Binaries, BinariesError, cache_directory, find
from vpclab.lab.state import LabError


@dataclass(frozen=True, slots=True)
class Supplies:
    """One lab's."""

    binaries: Binaries
    images: LabImages
    cache: Path
    """Where baked disks are kept from lab to lab."""
    disks: Path
    """This lab's nodes' disks: on the machine's, not in memory. Removed when the lab goes."""
    kit: Kit
    """For a person on its machines; the keys are this object's own."""


def disks_of(lab: str) -> Path:
    """Where a lab's nodes have their disks."""
    return cache_directory() / "labs" / lab


def gather(
    lab: str, region: str, directory: str | None, say: Callable[[str], None] = lambda _: None
) -> Supplies:
    """Programs found, images made unless they are there.

    Raises:
        LabError: something is missing; the text says what to do.
    """
    try:
        binaries = find(Path(directory) if directory else None)
        images = build_images(region, binaries.directory, say=say)
        kit = gather_kit()
    except (BinariesError, ImageError) as error:
        raise LabError(str(error)) from error
    return Supplies(binaries, images, cache_directory(), disks_of(lab), kit)
