"""What goes wrong while images are made."""

from __future__ import annotations


class ImageError(Exception):
    """An image cannot be made; the text says which, why, and what to do."""
