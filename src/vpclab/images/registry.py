"""The lab's registry: pulls, and only of the images that were made here.

`nicolaka/netshoot`, as the study types it, means the tag `latest`, and for that kubelet asks a registry each time. A node's containerd
asks this one whatever the name's registry is (its `hosts.toml`), and gives the one meant as `ns`. Written after the OCI
distribution specification 1.0, "pull".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from vpclab.images.archive import MANIFEST
from vpclab.images.build import LabImages
from vpclab.images.layer import Blob

DOCKER_HUB = "docker.io"
DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")


def registry_app(images: LabImages) -> Starlette:
    """An ASGI application that serves these images."""
    by_name = {name: image.manifest for image in images.images for name in image.names}
    blobs = {blob.digest: blob for image in images.images for blob in image.blobs()}

    async def root(_: Request) -> Response:
        return JSONResponse({}, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    async def manifest(request: Request) -> Response:
        reference = request.path_params["reference"]
        if digest := DIGEST.match(reference):
            found = blobs.get(digest[1])
            return (
                _served(images, found)
                if found is not None and found.media_type == MANIFEST
                else _unknown(request)
            )
        for name in _names(request):
            if name in by_name:
                return _served(images, by_name[name])
        return _unknown(request)

    async def blob(request: Request) -> Response:
        digest = DIGEST.match(request.path_params["digest"])
        found = blobs.get(digest[1]) if digest else None
        return _served(images, found) if found is not None else _unknown(request)

    return Starlette(
        routes=[
            Route("/v2/", root),
            Route("/v2/{name:path}/manifests/{reference}", manifest),
            Route("/v2/{name:path}/blobs/{digest}", blob),
        ]
    )


def _names(request: Request) -> Iterator[str]:
    """What is meant: by the registry that the client says, or that it was asked for by name, or Docker's."""
    name, reference = request.path_params["name"], request.path_params["reference"]
    for registry in (request.query_params.get("ns"), request.url.hostname, DOCKER_HUB):
        if registry:
            yield f"{registry}/{name}:{reference}"


def _served(images: LabImages, blob: Blob) -> Response:
    return FileResponse(
        images.store.path(blob),
        media_type=blob.media_type,
        headers={"Docker-Content-Digest": f"sha256:{blob.digest}"},
    )


def _unknown(request: Request) -> Response:
    """As registries say it; the message is what `kubectl describe pod` shows."""
    what = "BLOB_UNKNOWN" if "digest" in request.path_params else "MANIFEST_UNKNOWN"
    text = f"{request.path_params['name']} is not among the lab's images: vpc-lab images lists them"
    return JSONResponse({"errors": [{"code": what, "message": text}]}, status_code=404)
