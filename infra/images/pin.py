"""Writes the digests of images into the environments and the kustomize overlays, in place.

    python infra/images/pin.py dist/images.json postgres=docker.io/library/postgres@sha256:…
    python infra/images/pin.py --only dev cpu=localhost:5001/mmctr/cpu@sha256:… postgres=… seaweedfs=…

A file holds images as the build wrote it; others are given by the name that the overlays use. The environments and
overlays keep their comments and order: only what stands before @sha256: and the digest itself change. Images that still
have no digest are named at the end.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

INFRA = Path(__file__).resolve().parents[1]
OURS = ("cpu", "gpu")
UNKNOWN = "0" * 64
_IMAGE = re.compile(r"\S+@sha256:[0-9a-f]{64}")


def pin_environment(text: str, images: dict[str, str]) -> str:
    """`  cpu: anything@sha256:…` becomes the image that was built."""
    for kind, image in images.items():
        text = re.sub(rf"(?m)^(  {kind}: )\S+@sha256:[0-9a-f]{{64}}$", rf"\g<1>{image}", text)
    return text


def pin_overlay(text: str, images: dict[str, str]) -> str:
    """`{name: mmctr/cpu, newName: …, digest: …}` gets the name and the digest of what was built."""
    for kind, image in images.items():
        name, _, digest = image.partition("@")
        own = f"mmctr/{kind}" if kind in OURS else re.escape(kind)
        pattern = rf"(\{{name: {own}, newName: )[^,]+(, digest: )[^}}]+\}}"
        text = re.sub(pattern, rf'\g<1>{name}\g<2>"{digest}"}}', text)
    return text


def pin(images: dict[str, str], infra: Path, only: str = "*") -> list[Path]:
    """The files that changed."""
    changed = []
    for path in _files(infra, only):
        # Development has no GPUs: there both kinds are the cpu image.
        dev = "dev" in (path.stem, path.parent.name) and "cpu" in images
        own = {**images, "gpu": images["cpu"]} if dev else images
        before = path.read_text()
        after = (pin_environment if path.parent.name == "environments" else pin_overlay)(before, own)
        if after != before:
            path.write_text(after)
            changed.append(path)
    return changed


def unpinned(infra: Path, only: str = "*") -> list[str]:
    """Images of overlays that no registry has: their digest is still all zeros."""
    pattern = re.compile(rf"\{{name: ([^,]+), newName: [^,]+, digest: \"sha256:{UNKNOWN}\"\}}")
    return [f"{path.parent.name}: {name}" for path in _files(infra, only) for name in pattern.findall(path.read_text())]


def _files(infra: Path, only: str) -> list[Path]:
    return sorted([*infra.glob(f"environments/{only}.yaml"), *infra.glob(f"k8s/overlays/{only}/kustomization.yaml")])


def given_images(arguments: Sequence[str]) -> dict[str, str]:
    images: dict[str, str] = {}
    for argument in arguments:
        if argument.endswith(".json"):
            images |= json.loads(Path(argument).read_text())
            continue
        name, _, image = argument.partition("=")
        if not _IMAGE.fullmatch(image):
            raise SystemExit(f"{argument}: must be NAME=IMAGE@sha256:DIGEST, with the 64 digits of its digest")
        images[name] = image
    return images


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="FILE|NAME=IMAGE")
    parser.add_argument("--only", default="*", help="the environment and overlay of this name alone")
    given = parser.parse_args(arguments)
    for path in pin(given_images(given.images), INFRA, given.only):
        print(path)
    for image in unpinned(INFRA, given.only):
        print(f"no digest yet in {image}")


if __name__ == "__main__":
    main(sys.argv[1:])
