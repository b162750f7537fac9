"""The pipeline as a picture, drawn from its compiled form, so that it can't show what is not there.

python -m pipelines.picture docs/images/pipeline.svg
"""

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import yaml

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 128, 46, 44, 30, 24  # pixels
WRAP = 5  # boxes on a line: a page is narrower than a pipeline is long

_STYLE = """
  text { font: 500 14px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; dominant-baseline: central }
  .note { font-size: 12px; font-weight: 400; fill: #59636e }
  rect { fill: #f6f8fa; stroke: #8c959f; rx: 8px }
  .guarded rect { fill: #dafbe1; stroke: #1a7f37 } .exit rect { fill: #fff8c5; stroke: #9a6700 }
  path { fill: none; stroke: #8c959f; stroke-width: 1.5; marker-end: url(#tip) } .tip { fill: #8c959f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note { fill: #9198a1 } rect { fill: #161b22; stroke: #656c76 }
    .guarded rect { fill: #12261e; stroke: #3fb950 } .exit rect { fill: #272115; stroke: #d29922 }
  }
"""


@dataclass(frozen=True)
class Node:
    name: str
    needs: frozenset[str]
    kind: str  # "step", "guarded" (behind the gate) or "exit" (the exit handler)


def nodes_of(spec: dict[str, Any]) -> list[Node]:
    """The tasks of a compiled pipeline in topological order; groups such as conditions and loops are opened."""
    opened = [node for name, task in _tasks(spec["root"]) for node in _open(spec, name, task, "step").nodes]
    return _sorted(opened)


@dataclass(frozen=True)
class _Group:
    """A task, or what a task that is a group of tasks was opened into."""

    nodes: list[Node]
    last: frozenset[str]  # the nodes that whoever needs the group waits for


def _open(spec: dict[str, Any], name: str, task: dict[str, Any], kind: str) -> _Group:
    if task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED":
        return _Group([Node(name, frozenset(), "exit")], frozenset())
    component = spec["components"][task["componentRef"]["name"]]
    if "dag" not in component:
        return _Group([Node(name, _producers(task), kind)], frozenset({name}))
    if "triggerPolicy" in task:
        kind = "guarded" if kind == "chosen" else "chosen"
    elif "parameterIterator" in task:
        kind = "many"
    groups = {n: _open(spec, n, t, kind) for n, t in _tasks(component)}
    outer = _producers(task)
    nodes = [
        replace(node, needs=_through(groups, node.needs) | (outer if not node.needs else frozenset()))
        for group in groups.values()
        for node in group.nodes
    ]
    inner = {need for node in nodes for need in node.needs}
    return _Group(nodes, frozenset(node.name for node in nodes if node.name not in inner))


def _tasks(component: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(component["dag"]["tasks"].items())


def _through(groups: dict[str, _Group], needs: frozenset[str]) -> frozenset[str]:
    """Needs of a group become needs of its last nodes."""
    return frozenset(name for need in needs for name in (groups[need].last if need in groups else {need}))


def _producers(task: dict[str, Any]) -> frozenset[str]:
    found = set(task.get("dependentTasks", []))
    for kind, key in (("artifacts", "taskOutputArtifact"), ("parameters", "taskOutputParameter")):
        for given in task.get("inputs", {}).get(kind, {}).values():
            if key in given:
                found.add(given[key]["producerTask"])
    return frozenset(found)


def _sorted(nodes: list[Node]) -> list[Node]:
    done: list[Node] = []
    while len(done) < len(nodes):
        names = {node.name for node in done}
        ready = [n for n in nodes if n not in done and n.needs <= names]
        if not ready:
            raise ValueError(f"the tasks {[n.name for n in nodes if n not in done]} wait for tasks that are not there")
        done += ready
    return sorted(done, key=lambda node: node.kind == "exit")


def columns_of(nodes: list[Node]) -> dict[str, int]:
    """The longest way to each node; the exit handler stands under the last column."""
    column: dict[str, int] = {}
    for node in nodes:
        column[node.name] = 1 + max((column[need] for need in node.needs), default=-1)
    last = max(column.values())
    return {node.name: last if node.kind == "exit" else column[node.name] for node in nodes}


def draw(nodes: list[Node]) -> str:
    columns = columns_of(nodes)
    lane = {n.name: sum(1 for m in nodes[:i] if columns[m.name] == columns[n.name]) for i, n in enumerate(nodes)}
    at = {n.name: _corner(columns[n.name], lane[n.name]) for n in nodes}
    width = 2 * MARGIN + WRAP * (BOX_WIDTH + GAP_X) - GAP_X
    height = MARGIN + max(y for _, y in at.values()) + BOX_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="The training pipeline">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<polygon class="tip" points="0,0 8,4 0,8"/></marker></defs>',
    ]
    for node in nodes:
        parts += [_arrow(at[need], at[node.name]) for need in sorted(_direct(node, nodes))]
    parts += [_box(node, *at[node.name]) for node in nodes]
    return "\n".join([*parts, "</svg>\n"])


def _direct(node: Node, nodes: list[Node]) -> set[str]:
    """The needs that no other need already implies: an arrow for each would hide the shape."""
    needs = {n.name: n.needs for n in nodes}

    def implied(name: str) -> set[str]:
        return set(needs[name]) | {deeper for need in needs[name] for deeper in implied(need)}

    return set(node.needs) - {name for need in node.needs for name in implied(need)}


def _corner(column: int, lane: int) -> tuple[int, int]:
    line, place = divmod(column, WRAP)
    return MARGIN + place * (BOX_WIDTH + GAP_X), MARGIN + (line + lane) * (BOX_HEIGHT + GAP_Y)


def _arrow(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1, y1 = source[0] + BOX_WIDTH, source[1] + BOX_HEIGHT // 2
    x2, y2 = target[0] - 2, target[1] + BOX_HEIGHT // 2
    if x2 > x1:
        middle = (x1 + x2) // 2
        return f'<path d="M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}"/>'
    # To the next line: out of the box's foot, along the gap, into the head of the first box.
    foot, head = source[0] + BOX_WIDTH // 2, target[0] + BOX_WIDTH // 2
    down, along, up = source[1] + BOX_HEIGHT, source[1] + BOX_HEIGHT + GAP_Y // 2, target[1] - 2
    return f'<path d="M{foot},{down} V{along} H{head} V{up}"/>'


def _box(node: Node, x: int, y: int) -> str:
    notes = {"guarded": "if the gate passed", "many": "shards side by side", "exit": "always, at the end"}
    middle, note = x + BOX_WIDTH // 2, notes.get(node.kind)
    name_y = y + BOX_HEIGHT // 2 - (7 if note else 0)
    words = f'<text x="{middle}" y="{name_y}">{escape(node.name)}</text>'
    if note:
        words += f'<text class="note" x="{middle}" y="{name_y + 17}">{note}</text>'
    return f'<g class="{node.kind}"><rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"/>{words}</g>'


def main(path: str) -> None:
    from kfp import compiler

    from pipelines.training import training_pipeline

    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(training_pipeline, str(compiled))
        spec = next(iter(yaml.safe_load_all(compiled.read_text())))
    Path(path).write_text(draw(nodes_of(spec)))


if __name__ == "__main__":
    main(sys.argv[1])
