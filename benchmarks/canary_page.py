"""The tables of docs/how-to/canary.md, from the raw results: `python -m benchmarks.canary_page`."""

from pathlib import Path
from typing import Any

from benchmarks.markers import filled
from components.storage.files import atomic_path, read_json

PAGE, RESULTS = Path("docs/how-to/canary.md"), Path("benchmarks/results")


def trials(results: dict[str, Any]) -> list[str]:
    lines = [
        f"{results['date']}, made-up trials, each looked at 20 times ([raw results](../project/benchmarks.md), "
        "`python -m benchmarks.canary`). In the rows A/A both versions are equally good, so every promotion is false:",
        "",
        "| trial | runs | users | true difference | promoted (95% interval) | by a test for one look | called worse "
        "| users until then, median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in results["results"]:
        low, high = (f"{100 * limit:.1f}%" for limit in case["promoted_95"])
        null = case["case"].startswith("A/A")
        cells = (
            case["case"],
            f"{case['runs']:,}",
            f"{case['users']:,}",
            "0" if null else f"{case['true_difference']:+.4f}",
            f"{100 * case['promoted']:.1f}% ({low} to {high})",
            f"{100 * case['once_a_look']:.1f}%",
            f"{100 * case['worse']:.1f}%",
            "" if null or case["median_users_to_promote"] is None else f"{case['median_users_to_promote']:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def skews(results: dict[str, Any]) -> list[str]:
    sizes = results["results"]
    clean = " and ".join(
        f"{size['clean_days_raised']} of {size['clean_days']} clean days of {size['rows_a_day']:,} rows"
        for size in sizes
    )
    heads = " | ".join(f"days of {size['rows_a_day']:,} rows" for size in sizes)
    lines = [
        f"{results['date']}, a made-up shop with five declared features (`python -m benchmarks.skew`): {clean} raised "
        "anything. What was planted, and in how many days it was found:",
        "",
        f"| planted | {heads} |",
        f"|---|{'---|' * len(sizes)}",
    ]
    for name in sizes[0]["planted"]:
        cells = (f"{size['planted'][name]['found']} of {size['planted'][name]['days']}" for size in sizes)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def page(text: str) -> str:
    for name, table in (("canary", trials), ("skew", skews)):
        text = filled(text, name, table(read_json(RESULTS / f"{name}.json")), PAGE)
    return text


if __name__ == "__main__":
    with atomic_path(PAGE) as scratch:
        scratch.write_text(page(PAGE.read_text()))
