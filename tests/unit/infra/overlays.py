"""The objects of an overlay, found by kind and name."""

from typing import Any

from infra.check.build import Manifest

Objects = list[Manifest]


def find(objects: Objects, title: str) -> Any:
    kind, name = title.split()
    return next(m for m in objects if m["kind"] == kind and m["metadata"]["name"] == name)
