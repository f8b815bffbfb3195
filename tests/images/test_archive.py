"""Layers and archives: the bytes are the tree's alone, and what the documents say of each other is true."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vpclab.images.archive import RunAs, compose, write_archive
from vpclab.images.layer import MEDIA_TYPE, BlobStore, layer
from vpclab.images.tree import Entry, Tree, directory, link, merged_usr, text, usr_links, whole

names = st.text("abc", min_size=1, max_size=3)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
entries = st.one_of(
    st.binary(max_size=20).map(lambda content: Entry(0o644, content=content)),
    paths.map(link),
    st.just(directory(0o700)),
)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """No path is below one that is a file or a link."""
    found: Tree = {}
    for path, entry in draw(st.dictionaries(paths, entries, max_size=8)).items():
        above = {path[:at] for at, letter in enumerate(path) if letter == "/"}
        if not any(known in above or known.startswith(f"{path}/") for known in found):
            found[path] = entry
    return found


@given(trees(), st.randoms())
def test_a_layer_is_the_trees_alone_and_holds_all_of_it(tree: Tree, random: st.DataObject) -> None:
    made = layer(tree)
    shuffled = list(tree.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert layer(dict(shuffled)) == made
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        members = {member.name: member for member in tar}
        assert list(members) == sorted(members)  # a directory comes before what is in it
        for path, entry in whole(tree).items():
            member = members.pop(path)
            assert (member.mode, member.mtime, member.uid) == (entry.mode, 0, 0)
            assert member.isdir() == entry.is_directory
            assert (member.linkname or None) == entry.target
            if entry.content is not None:
                content = tar.extractfile(member)
                assert content is not None
                assert content.read() == entry.content
        assert not members


def test_two_images_in_one_archive_share_a_layer_and_every_digest_is_right(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    low, high = (
        store.put(layer({"a": text("1")}), MEDIA_TYPE),
        store.put(layer({"b": text("2")}), MEDIA_TYPE),
    )
    run = RunAs(("/a",), ("b",), {"HOME": "/root"})
    images = [
        compose(store, ["registry/one:1", "other/one:1"], [low], run, "amd64"),
        compose(store, ["registry/two:2"], [low, high], RunAs(), "amd64"),
    ]
    for path in (tmp_path / "first.tar", tmp_path / "again.tar"):
        write_archive(store, images, path)
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()
    with tarfile.open(tmp_path / "first.tar") as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    index = json.loads(held.pop("index.json"))
    assert json.loads(held.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    assert [one["annotations"]["io.containerd.image.name"] for one in index["manifests"]] == [
        "registry/one:1", "other/one:1", "registry/two:2",
    ]  # fmt: skip
    assert len(held) == 2 + 2 * 2  # layers; a manifest and a configuration of each
    for name, content in held.items():
        assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    two = json.loads(held[_blob(index["manifests"][2])])
    assert [held[_blob(one)] for one in two["layers"]] == [
        layer({"a": text("1")}),
        layer({"b": text("2")}),
    ]
    config = json.loads(held[_blob(two["config"])])
    assert config["rootfs"]["diff_ids"] == [one["digest"] for one in two["layers"]]
    one = json.loads(held[_blob(json.loads(held[_blob(index["manifests"][0])])["config"])])
    assert (one["config"]["Entrypoint"], one["config"]["Cmd"]) == (["/a"], ["b"])
    assert "HOME=/root" in one["config"]["Env"]


def test_a_blob_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    blob = store.put(b"whole", MEDIA_TYPE)
    store.path(blob).write_bytes(b"who")
    assert not store.has(blob)
    assert store.put(b"whole", MEDIA_TYPE) == blob
    assert store.path(blob).read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == [blob.digest]


def test_old_places_of_packages_are_links_into_usr() -> None:
    assert [merged_usr(path) for path in ("bin/sh", "lib64/ld.so", "usr/bin/x", "library/x")] == [
        "usr/bin/sh", "usr/lib64/ld.so", "usr/bin/x", "library/x",
    ]  # fmt: skip
    assert usr_links()["bin"].target == "usr/bin"


def _blob(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"
