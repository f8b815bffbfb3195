"""Container images made here, without a registry and without Docker: docs/images.md."""

from vpclab.images.build import LabImages, build_images, cache_directory
from vpclab.images.error import ImageError

__all__ = ["ImageError", "LabImages", "build_images", "cache_directory"]
