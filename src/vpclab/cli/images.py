"""The container images that a cluster's nodes run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vpclab.cli.base import OUTPUT, main, plain_errors
from vpclab.lab.state import LabError


@main.command()
@click.option("--region", default="ap-northeast-2", show_default=True, help="Whose names EKS's images have.")
@click.option(
    "--kubernetes-bin",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where kube-proxy and coredns are; without it their images are not made.",
)
@OUTPUT
@plain_errors
def images(region: str, kubernetes_bin: Path | None, output: str) -> None:
    """Make the images and say where each comes from; what was made before is kept."""
    from vpclab.images import ImageError, build_images  # noqa: PLC0415 -- other commands do without
    from vpclab.images.catalogue import catalogue  # noqa: PLC0415

    try:
        made = build_images(region, kubernetes_bin, say=lambda text: click.echo(text, err=True))
        origins = [recipe.origin for recipe in catalogue(region, kubernetes_bin)]
    except ImageError as error:
        raise LabError(str(error)) from None
    if output == "json":
        rows = [
            {"names": image.names, "bytes": image.size, "digest": image.manifest.digest, "origin": origin}
            for image, origin in zip(made.images, origins, strict=True)
        ]
        click.echo(json.dumps({"archive": str(made.archive), "images": rows}, indent=2))
        return
    for image, origin in zip(made.images, origins, strict=True):
        click.echo(f"{image.names[0]}  {image.size / 1e6:.0f} MB\n    {origin}")
    click.echo(f"archive: {made.archive}")
