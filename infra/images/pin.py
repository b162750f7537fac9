"""Writes the digests of a build into the environments and the kustomize overlays, in place.

    python infra/images/pin.py dist/images.json

The files keep their comments and order: only what stands before @sha256: and the digest itself change.
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

INFRA = Path(__file__).resolve().parents[1]


def pin_environment(text: str, images: dict[str, str]) -> str:
    """`  cpu: anything@sha256:…` becomes the image that was built."""
    for kind, image in images.items():
        text = re.sub(rf"(?m)^(  {kind}: )\S+@sha256:[0-9a-f]{{64}}$", rf"\g<1>{image}", text)
    return text


def pin_overlay(text: str, images: dict[str, str]) -> str:
    """`{name: mmctr/cpu, newName: …, digest: …}` gets the name and the digest of what was built."""
    for kind, image in images.items():
        name, _, digest = image.partition("@")
        pattern = rf"(\{{name: mmctr/{kind}, newName: )[^,]+(, digest: )[^}}]+\}}"
        text = re.sub(pattern, rf'\g<1>{name}\g<2>"{digest}"}}', text)
    return text


def pin(images: dict[str, str], infra: Path) -> list[Path]:
    """The files that changed."""
    changed = []
    for path in sorted([*infra.glob("environments/*.yaml"), *infra.glob("k8s/overlays/*/kustomization.yaml")]):
        # Development has no GPUs: there both kinds are the cpu image.
        own = {**images, "gpu": images["cpu"]} if "dev" in (path.stem, path.parent.name) else images
        before = path.read_text()
        after = (pin_environment if path.parent.name == "environments" else pin_overlay)(before, own)
        if after != before:
            path.write_text(after)
            changed.append(path)
    return changed


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    for path in pin(json.loads(Path(arguments[0]).read_text()), INFRA):
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
