"""Makes the lab's images and keeps what was made, outside the tree, by what it was made of."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vpclab.images.archive import Image, compose, write_archive
from vpclab.images.catalogue import ImageRecipe, LayerRecipe, catalogue
from vpclab.images.error import ImageError
from vpclab.images.layer import MEDIA_TYPE, Blob, BlobStore, layer

FORMAT = "1"
"""Of what is kept: another number, and all is made anew."""
ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class LabImages:
    """What was made: the images, and the archive that `ctr -n k8s.io image import` takes."""

    images: tuple[Image, ...]
    archive: Path
    store: BlobStore

    def name(self, repository: str) -> str:
        """The reference of the image whose repository ends so: `amazon-k8s-cni`, `eks/coredns`. Raises KeyError."""
        for image in self.images:
            for name in image.names:
                if name.rpartition(":")[0].endswith(f"/{repository}"):
                    return name
        raise KeyError(repository)


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where things are kept that are made once: of $XDG_CACHE_HOME, else of the home directory."""
    home = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME') or '/root'}/.cache"
    return Path(home) / "vpc-lab"


def build_images(
    region: str,
    kubernetes: Path | None,
    *,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> LabImages:
    """All images of a lab, from the cache where nothing has changed; `kubernetes` holds kube-proxy and coredns.

    Raises ImageError: something that they are made of is not here.
    """
    directory = (cache or cache_directory()) / "images"
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise ImageError(f"images are made for {', '.join(ARCHITECTURES)}, not for {platform.machine()}")
    with _alone(directory):
        builder = _Builder(directory, architecture, say)
        images = tuple(builder.image(recipe) for recipe in catalogue(region, kubernetes))
        archive = directory / f"{_key(image.manifest.digest for image in images)}.tar"
        if not archive.exists():
            for old in directory.glob("*.tar"):
                old.unlink()  # a running lab has read its own
            write_archive(builder.store, images, archive)
        return LabImages(images, archive, builder.store)


class _Builder:
    def __init__(self, directory: Path, architecture: str, say: Callable[[str], None]) -> None:
        self.store = BlobStore(directory / "blobs")
        self._known = directory / "layers"
        self._debs = directory / "debs"
        self._architecture = architecture
        self._say = say

    def image(self, recipe: ImageRecipe) -> Image:
        """One of them."""
        layers = [self._layer(one) for one in recipe.layers]
        return compose(self.store, recipe.names, layers, recipe.run, self._architecture)

    def _layer(self, recipe: LayerRecipe) -> Blob:
        key = _key((FORMAT, self._architecture, _system(), recipe.name, *recipe.inputs))
        note = self._known / key
        if note.exists():
            known = json.loads(note.read_text())
            blob = Blob(known["digest"], known["size"], MEDIA_TYPE)
            if self.store.has(blob):
                return blob
        self._say(f"making the layer {recipe.name}")
        blob = self.store.put(layer(recipe.make(self._debs)), MEDIA_TYPE)
        self._known.mkdir(parents=True, exist_ok=True)
        fresh = note.with_suffix(".tmp")
        fresh.write_text(json.dumps({"layer": recipe.name, "digest": blob.digest, "size": blob.size}))
        fresh.rename(note)
        return blob


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two labs that start at once make the images once."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _key(words: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]


def _system() -> str:
    """The release whose packages apt would give."""
    release = platform.freedesktop_os_release()
    return f"{release.get('ID')} {release.get('VERSION_ID')}"
