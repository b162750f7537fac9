"""What is generated from the results.json of each study: docs/explanation/findings.md and the README's rankers.

    python -m benchmarks.findings

A study's results.json is committed as benchmarks/results/studies/<study>-<data>.json. What people write about it stands
outside the markers and is left alone; a study without a section yet gets one at the end.
"""

import re
from pathlib import Path
from typing import Any

from benchmarks.markers import filled, markers
from components.errors import StepError
from components.report.words import count, fixed, signed
from components.storage.files import atomic_path, read_json
from studies.statement import statement
from studies.table import markdown_table

Json = dict[str, Any]

FOLDER = Path("benchmarks/results/studies")
PAGE = Path("docs/explanation/findings.md")
README = Path("README.md")
RANKERS = ("presets-movielens-100k", "presets-sample")  # the studies behind the README's table


def part(results: Json) -> list[str]:
    """What stands between the markers of a study: where its numbers come from, the numbers, what they say."""
    sentences = [f"- {sentence}" for sentence in statement(results)]
    return [origin(results), "", *markdown_table(results), "", *sentences]


def origin(results: Json) -> str:
    data, machine = results["data"], results["machine"]
    rows, seeds = data["rows"], results["seeds"]
    settings = "".join(f" `{setting}`" for setting in results["overrides"])
    named = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(str(seed) for seed in seeds)}"
    memory = f", {machine['memory_gb']} GB" if machine.get("memory_gb") else ""
    where = f"{machine.get('gpu') or machine.get('cpu')}, {machine.get('cores')} cores{memory}"
    return (
        f"{results['date']}, commit {results['commit']}, preset `{results['preset']}`{settings}, {named}; {where}. "
        f"{data['name']}, train.parquet `{str(data['sha256'])[:12]}`: learned from {count(rows['used'])} of "
        f"{count(rows['train'])} train rows, measured on {count(rows[data['split']])} {data['split']} rows."
    )


def section(name: str, results: Json) -> str:
    """A new section, for a person to write around."""
    begin, end = markers(name)
    return f"\n## {results['title']}: {results['data']['name']}\n\n{results['question']}\n\n{begin}\n{end}\n"


def write_findings(folder: Path = FOLDER, page: Path = PAGE) -> None:
    studies = {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}
    text = page.read_text()
    for name in re.findall(r"<!-- (\S+): begin -->", text):
        if name not in studies:
            raise StepError(
                f"{page} has a part {name!r} without {folder / name}.json: bring it back or remove the part"
            )
    for name, results in studies.items():
        if markers(name)[0] not in text:
            text += section(name, results)
        text = filled(text, name, part(results), page)
    with atomic_path(page) as scratch:
        scratch.write_text(text)


def rankers(movielens: Json, sample: Json) -> list[str]:
    """The named rankers on both data sets, the best on MovieLens first."""
    there, here = ({arm["name"]: arm for arm in study["arms"]} for study in (movielens, sample))
    papers = {found["arm"]: found for found in movielens["comparisons"]}
    lines = ["| ranker | MovieLens 100K | difference to `paper` | generated sample |", "|---|---|---|---|"]
    for name, arm in sorted(there.items(), key=lambda item: -item[1]["auc"]["mean"]):
        against = f"{signed(papers[name]['difference'])}, {papers[name]['verdict']}" if name in papers else ""
        lines.append(f"| {' | '.join((name, _area(arm), against, _area(here[name])))} |")
    rates = [fixed(study["baselines"]["item_click_rate"]) for study in (movielens, sample)]
    return [*lines, f"| the item's past click rate alone | {rates[0]} | | {rates[1]} |"]


def _area(arm: Json) -> str:
    return f"{fixed(arm['auc']['mean'])} ± {fixed(arm['auc']['sd'])}"


def write_rankers(folder: Path = FOLDER, readme: Path = README) -> None:
    studies = [read_json(folder / f"{name}.json") for name in RANKERS]
    text = filled(readme.read_text(), "rankers", rankers(*studies), readme)
    with atomic_path(readme) as scratch:
        scratch.write_text(text)


if __name__ == "__main__":
    write_findings()
    write_rankers()
