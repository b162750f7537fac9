"""The letters at the end of a tensor's name mean what the legend of `model` says, in every package."""

import ast
import re
from pathlib import Path

import model

ROOT = Path(__file__).parents[3]
PACKAGES = ("model", "components", "studies", "pipelines")
LETTERS = set(re.findall(r"^    ([A-Z])  ", model.__doc__ or "", re.MULTILINE))
PICTURES = set(re.findall(r"\b[A-Z]{4}\b", model.__doc__ or ""))


def shapes(source: str) -> dict[str, str]:
    """The shape that each name of a module carries; constants such as IMAGE_SIZE carry none."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                names.add(name)
    found = {name: re.fullmatch(r"_?[a-z]\w*_([A-Z0-9]*[A-Z][A-Z0-9]*)", name) for name in names}
    return {name: match.group(1) for name, match in found.items() if match}


SHAPES = {
    f"{path.relative_to(ROOT)}: {name}": shape
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    for name, shape in shapes(path.read_text()).items()
}


def test_every_letter_of_a_shape_is_in_the_legend() -> None:
    unknown = {
        name: shape
        for name, shape in SHAPES.items()
        if shape not in PICTURES and set(re.sub(r"\d", "", shape)) - LETTERS
    }
    assert unknown == {}


def test_every_letter_of_the_legend_is_used() -> None:
    assert {letter for shape in SHAPES.values() if shape not in PICTURES for letter in shape} >= LETTERS
    assert set(SHAPES.values()) >= PICTURES


def test_the_shape_of_a_name_is_its_capitals() -> None:
    source = "def f(mask_BL1, plain, IMAGE_SIZE):\n    self._items_ND[ids_U] = text_encoder_name"
    assert shapes(source) == {"mask_BL1": "BL1", "_items_ND": "ND", "ids_U": "U"}
