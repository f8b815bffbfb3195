"""The lab's registry, as containerd asks it."""

import asyncio
import hashlib
from pathlib import Path

import httpx2
import pytest

from vpclab.images import LabImages
from vpclab.images.archive import MANIFEST, RunAs, compose
from vpclab.images.layer import MEDIA_TYPE, BlobStore, layer
from vpclab.images.registry import registry_app
from vpclab.images.tree import text


@pytest.fixture
def images(tmp_path: Path) -> LabImages:
    store = BlobStore(tmp_path)
    low = store.put(layer({"a": text("1")}), MEDIA_TYPE)
    image = compose(
        store, ["docker.io/nicolaka/netshoot:latest", "ecr.aws/eks/pause:3.5"], [low], RunAs(), "amd64"
    )
    return LabImages((image,), tmp_path / "none.tar", store)


def answers(images: LabImages, *paths: str, method: str = "GET") -> list[httpx2.Response]:
    async def ask() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(registry_app(images))
        async with httpx2.AsyncClient(transport=transport, base_url="http://registry.lab") as client:
            return [await client.request(method, path) for path in paths]

    return asyncio.run(ask())


def test_an_image_is_pulled_by_the_registry_that_its_name_says(images: LabImages) -> None:
    root, by_tag, other, head = answers(
        images, "/v2/", "/v2/nicolaka/netshoot/manifests/latest?ns=docker.io",
        "/v2/eks/pause/manifests/3.5?ns=ecr.aws", "/v2/nicolaka/netshoot/manifests/latest",
    )  # fmt: skip
    assert root.status_code == 200
    assert by_tag.content == other.content == head.content
    digest = hashlib.sha256(by_tag.content).hexdigest()
    assert by_tag.headers["content-type"] == MANIFEST
    assert by_tag.headers["docker-content-digest"] == f"sha256:{digest}"
    said = by_tag.json()
    blobs = [said["config"], *said["layers"]]
    again, *contents = answers(
        images, f"/v2/x/manifests/sha256:{digest}", *(f"/v2/x/blobs/{one['digest']}" for one in blobs)
    )
    assert again.content == by_tag.content
    for one, blob in zip(blobs, contents, strict=True):
        assert one["digest"] == f"sha256:{hashlib.sha256(blob.content).hexdigest()}"
    [short] = answers(images, "/v2/nicolaka/netshoot/manifests/latest?ns=docker.io", method="HEAD")
    assert (short.status_code, short.content) == (200, b"")
    assert int(short.headers["content-length"]) == len(by_tag.content)


def test_what_was_not_made_here_is_unknown_in_words(images: LabImages) -> None:
    unknown = answers(
        images, "/v2/library/nginx/manifests/latest?ns=docker.io", "/v2/nicolaka/netshoot/manifests/v0?ns=docker.io",
        f"/v2/x/blobs/sha256:{'0' * 64}", f"/v2/x/manifests/sha256:{'0' * 64}", "/v2/x/blobs/../../etc/passwd",
    )  # fmt: skip
    assert [answer.status_code for answer in unknown] == [404] * 5
    assert "library/nginx is not among the lab's images" in unknown[0].json()["errors"][0]["message"]
