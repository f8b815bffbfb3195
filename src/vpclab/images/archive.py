"""Images as an OCI archive, the file that `ctr -n k8s.io image import` takes: several in one, layers shared.

Written after the OCI image specification 1.0 (layout, index, manifest, configuration); containerd takes an image's name from
the annotation `io.containerd.image.name` in the index.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vpclab.images.layer import Blob, BlobStore

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CREATED = "1970-01-01T00:00:00Z"
"""Images made of the same things are the same."""


@dataclass(frozen=True, slots=True)
class RunAs:
    """What a container of an image runs, unless its pod says something else."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the store. `names` are full references: registry, repository and tag."""

    names: tuple[str, ...]
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def size(self) -> int:
        """Bytes of its layers."""
        return sum(blob.size for blob in self.layers)

    def blobs(self) -> tuple[Blob, ...]:
        """All that it is made of."""
        return (self.manifest, self.config, *self.layers)


def compose(
    store: BlobStore, names: Sequence[str], layers: Sequence[Blob], run: RunAs, architecture: str
) -> Image:
    """An image of these layers, the lowest first; its documents are put into the store."""
    config = store.put(_json(_config(layers, run, architecture)), CONFIG)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in layers],
    }
    return Image(tuple(names), store.put(_json(document), MANIFEST), config, tuple(layers))


def write_archive(store: BlobStore, images: Iterable[Image], path: Path) -> None:
    """Put these images into one archive at `path`, in place whole."""
    images = list(images)
    blobs = {blob.digest: blob for image in images for blob in image.blobs()}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.tmp")
    with tarfile.open(fresh, "w", format=tarfile.GNU_FORMAT) as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json(index(images)))
        for digest, blob in sorted(blobs.items()):
            info = tarfile.TarInfo(f"blobs/sha256/{digest}")
            info.size, info.mode = blob.size, 0o644
            with store.path(blob).open("rb") as content:
                tar.addfile(info, content)
    fresh.rename(path)


def index(images: Iterable[Image]) -> dict[str, Any]:
    """The document that names the images."""
    return {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {
                **image.manifest.descriptor(),
                "annotations": {
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                },
            }
            for image in images
            for name in image.names
        ],
    }


def _config(layers: Sequence[Blob], run: RunAs, architecture: str) -> dict[str, Any]:
    env = {"PATH": PATH, **run.env}
    settings: dict[str, Any] = {
        "Env": [f"{name}={value}" for name, value in env.items()],
        "WorkingDir": run.working_dir,
        "Entrypoint": list(run.entrypoint),
        "Cmd": list(run.command),
        "Labels": dict(run.labels),
    }
    return {
        "created": CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": {key: value for key, value in settings.items() if value},
        # a layer that is not compressed is its own "diff"
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{blob.digest}" for blob in layers]},
        "history": [{"created": CREATED, "created_by": "vpc-lab images"} for _ in layers],
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    tar.addfile(info, io.BytesIO(content))


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
