"""The tables of benchmarks/README.md, between its markers, from the raw results: `python -m benchmarks.tables`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.markers import filled
from benchmarks.training import RESULTS, best
from components.storage.files import atomic_path, read_json

README = Path("benchmarks/README.md")
MISSING = {"training-gpu": "Not measured: no GPU was at hand."}
SYSTEMS = ("FuxiCTR", "float32", "bfloat16")


def training(results: dict[str, Any]) -> list[str]:
    lines = ["| dims | batch | history | FuxiCTR | ours, float32 | ours, bfloat16 | commit |"]
    lines.append("|---|---|---|---|---|---|---|")
    for case in results["cases"]:
        reference = best(case, "FuxiCTR")
        cells = [f"{best(case, system):,.0f} ({best(case, system) / reference:.1f}×)" for system in SYSTEMS[1:]]
        cells = [f"{reference:,.0f}", *cells, case["commit"]]
        lines.append(f"| {case['dims']} | {case['batch']} | {case['length']} | {' | '.join(cells)} |")
    lines += ["", "Peak memory, and where the time of ours goes (shares of CPU time, two steps):", ""]
    lines += ["| dims | history | precision | memory, FuxiCTR → ours | operations |", "|---|---|---|---|---|"]
    for case in results["cases"]:
        for system in SYSTEMS[1:]:
            memory = [max(run["peak_memory_mb"] for run in case["runs"][name]) for name in ("FuxiCTR", system)]
            profile = next(run["profile"] for run in case["runs"][system] if "profile" in run)
            shares = ", ".join(
                f"{name.removeprefix('aten::')} {share:.0%}"
                for name, share in sorted(profile.items(), key=lambda item: -item[1])[:5]
            )
            lines.append(
                f"| {case['dims']} | {case['length']} | {system} | {memory[0]:,.0f} → {memory[1]:,.0f} MB | {shares} |"
            )
    return [_where(results), "", *lines]


def loader(results: dict[str, Any]) -> list[str]:
    lines = [
        "| rows | conversion | peak memory | bytes a row | batch 128 | batch 1024 | batch 8192 |",
        "|---|---|---|---|---|---|---|",
    ]
    for size in results["sizes"]:
        runs = size["runs"]
        rates = [max(run["samples_per_cpu_second"][batch] for run in runs) for batch in ("128", "1024", "8192")]
        first = (
            f"{min(run['conversion_cpu_seconds'] for run in runs):.1f} s",
            f"{max(run['peak_memory_mb'] for run in runs):,.0f} MB",
        )
        cells = [f"{size['rows']:,}", *first, f"{runs[0]['bytes_a_row']:.0f}", *(f"{rate:,.0f}" for rate in rates)]
        lines.append(f"| {' | '.join(cells)} |")
    if results["reference"]:
        theirs = max(run["samples_per_cpu_second"] for run in results["reference"])
        lines += [
            "",
            f"FuxiCTR's loader with a pandas lookup in the collate function, batch 1024: {theirs:,.0f} samples/s.",
        ]
    return [_where(results), "", *lines]


def ranks(results: dict[str, Any]) -> list[str]:
    speeds = {ranks: max(run["samples_per_second"] for run in runs) for ranks, runs in results["ranks"].items()}
    lines = ["| processes | samples/s (wall) | scaling |", "|---|---|---|"]
    lines += [f"| {ranks} | {speed:,.0f} | {speed / speeds['1']:.2f}× |" for ranks, speed in speeds.items()]
    return [_where(results), "", *lines]


def growth(results: dict[str, Any]) -> list[str]:
    lines = ["| rows | samples a CPU second | peak memory |", "|---|---|---|"]
    for size in results["sizes"]:
        speed = max(run["samples_per_cpu_second"] for run in size["runs"])
        memory = max(run["peak_memory_mb"] for run in size["runs"])
        lines.append(f"| {size['rows']:,} | {speed:,.0f} | {memory:,.0f} MB |")
    return [_where(results), "", *lines]


def batch_size(results: dict[str, Any]) -> list[str]:
    lines = [
        f"{results['rows']:,} rows of the sample's world, 8 epochs, small dims.",
        "",
        "| batch | test AUC by seed | mean | samples/s |",
        "|---|---|---|---|",
    ]
    for name, runs in results["runs"].items():
        areas = [run["test_auc"] for run in runs]
        speed = max(run["samples_per_second"] for run in runs)
        shown = ", ".join(f"{area:.4f}" for area in areas)
        lines.append(f"| {name} | {shown} | {sum(areas) / len(areas):.4f} | {speed:,.0f} |")
    return [_where(results), "", *lines]


def id_optimizer(results: dict[str, Any]) -> list[str]:
    lines = [
        "| world | optimizer of ids | test AUC by seed | mean | state of the id and tag tables |",
        "|---|---|---|---|---|",
    ]
    for world, kinds in results["worlds"].items():
        for kind, runs in kinds.items():
            areas = [run["test_auc"] for run in runs]
            shown = ", ".join(f"{area:.4f}" for area in areas)
            kept = f"{runs[0]['table_state_bytes'] / 1000:,.1f} kB"
            lines.append(f"| {world} | {kind} | {shown} | {sum(areas) / len(areas):.4f} | {kept} |")
    return [_where(results), "", *lines]


def gpu(results: dict[str, Any]) -> list[str]:
    lines = ["| history | batch | samples/s | 3.6M-row epoch | share of the bf16 peak |", "|---|---|---|---|---|"]
    for case in results["cases"]:
        share = f"{case['bf16_peak_share']:.0%}" if case["bf16_peak_share"] else "—"
        cells = (
            case["length"],
            case["batch"],
            f"{case['samples_per_second']:,.0f}",
            f"{case['epoch_seconds_3_6m_rows']:.0f} s",
        )
        lines.append(f"| {' | '.join(map(str, cells))} | {share} |")
    return [_where(results), "", *lines]


TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "training": ("training.json", training),
    "training-gpu": ("training-gpu.json", gpu),
    "loader": ("loader.json", loader),
    "training-ranks": ("training-ranks.json", ranks),
    "training-growth": ("training-growth.json", growth),
    "batch-size": ("batch-size.json", batch_size),
    "id-optimizer": ("id-optimizer.json", id_optimizer),
}


def _where(results: dict[str, Any]) -> str:
    m = results["machine"]
    where = (
        f"{m['gpu'] or m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB, load average {m['load_average']} at the end"
    )
    return f"{m['date']}, commit {m['commit']}, torch {m['torch']}; {where}."


def write_tables(folder: Path = RESULTS, readme: Path = README) -> None:
    text = readme.read_text()
    for name, (file, table) in TABLES.items():
        measured = (folder / file).is_file()
        lines = table(read_json(folder / file)) if measured else [MISSING.get(name, "Not measured yet.")]
        text = filled(text, name, lines, readme)
    with atomic_path(readme) as scratch:
        scratch.write_text(text)


if __name__ == "__main__":
    write_tables()
