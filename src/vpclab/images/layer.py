"""A layer of an image: a tree as a tar file that is the same, byte for byte, whenever the tree is the same."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vpclab.images.tree import Entry, whole

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"
"""Not compressed: it is read once from this very disk."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the store, named by their SHA-256 in hexadecimal digits."""

    digest: str
    size: int
    media_type: str

    def descriptor(self) -> dict[str, object]:
        """As an OCI document speaks of it."""
        return {"mediaType": self.media_type, "digest": f"sha256:{self.digest}", "size": self.size}


class BlobStore:
    """Blobs in a directory. Each is put in place whole, so that a killed builder leaves none half-written."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, blob: Blob) -> Path:
        """Where its bytes are."""
        return self.directory / blob.digest

    def has(self, blob: Blob) -> bool:
        """Whether it is there, in its full length."""
        path = self.path(blob)
        return path.exists() and path.stat().st_size == blob.size

    def put(self, content: bytes, media_type: str) -> Blob:
        """Keep these bytes."""
        blob = Blob(hashlib.sha256(content).hexdigest(), len(content), media_type)
        if not self.has(blob):
            self.directory.mkdir(parents=True, exist_ok=True)
            fresh = self.directory / f".{blob.digest}.{id(content)}.tmp"
            fresh.write_bytes(content)
            fresh.rename(self.path(blob))
        return blob


def layer(tree: Mapping[str, Entry]) -> bytes:
    """The tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, entry in whole(tree).items():
            tar.addfile(*_member(path, entry))
    return out.getvalue()


def _member(path: str, entry: Entry) -> tuple[tarfile.TarInfo, io.BytesIO | None]:
    info = tarfile.TarInfo(path)
    info.mode = entry.mode
    info.mtime = 0
    if entry.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
        return info, None
    if entry.content is None:
        info.type = tarfile.DIRTYPE
        return info, None
    info.size = len(entry.content)
    return info, io.BytesIO(entry.content)
