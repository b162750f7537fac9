"""A study's page shows the numbers of results.json, also with gaps in them, and loads nothing from the network."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from components.report.page import lookup
from studies.report import render, write_report
from tests.page_reader import Reader
from tests.study_results import STUDIES, examples, results

Json = dict[str, Any]


def page_of(found: Json) -> str:
    arms = [arm["name"] for arm in found["arms"]] if "attention" in found["views"] else []
    return render(found, examples(arms, items=6, rows=2))


def bare(study: str, arms: int) -> Json:
    """The first arms alone, and of the comparisons those that are left."""
    found = results(study)
    names = [arm["name"] for arm in found["arms"][:arms]]
    kept = [c for c in found["comparisons"] if {c["arm"], c["against"]} <= set(names)]
    return {**found, "arms": found["arms"][:arms], "comparisons": kept, "reference": names[0]}


def gappy() -> Json:
    """An arm without any result, one with a seed missing, and their failures."""
    found = results("ablation")
    gone, short = found["arms"][1], found["arms"][2]
    gone.update(auc=None, seconds=None, log_loss=None, grouped_auc=None, valid_auc=None, epochs=None, slices=None)
    short["auc"]["by_seed"][1] = None
    found["comparisons"] = [c for c in found["comparisons"] if gone["name"] not in (c["arm"], c["against"])]
    found["failed"] = [{"arm": gone["name"], "seed": n, "message": "out of <memory>"} for n in (1, 2, 3)]
    return found


CASES = {
    **{study: results(study) for study in STUDIES},
    "one seed": results("mask", seeds=1),
    "one arm": bare("mask", 1),
    "gaps": gappy(),
    "sample": {**results("levels"), "baselines": {"item_click_rate": 0.598, "oracle": 0.947}},
}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: page_of(found) for name, found in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_every_number_shown_is_one_of_results_json(pages: dict[str, str], name: str) -> None:
    numbers = Reader(pages[name]).numbers
    assert len(numbers) >= 12
    for path, value, shown in numbers:
        truth = lookup(CASES[name], path)
        assert value == ("" if truth is None else repr(truth)), path
        digits = re.sub(r"[^0-9.−-]", "", shown).replace("−", "-")
        if truth is not None and digits and not re.search(r"<|than|min|h$|e-", shown):
            scale = 100 if shown.endswith("%") else 1
            places = len(digits.partition(".")[2])
            assert float(digits) == pytest.approx(truth * scale, abs=0.6 * 10**-places), path


@pytest.mark.parametrize("name", CASES)
def test_every_arm_and_comparison_is_on_the_page(pages: dict[str, str], name: str) -> None:
    found = CASES[name]
    paths = {path for path, _, _ in Reader(pages[name]).numbers}
    for n, arm in enumerate(found["arms"]):
        assert (f"arms.{n}.auc.mean" in paths) == (arm["auc"] is not None)
        assert (f"arms.{n}.auc.low" in paths) == (arm["auc"] is not None and arm["auc"]["low"] is not None)
    for n in range(len(found["comparisons"])):
        assert {f"comparisons.{n}.{field}" for field in ("difference", "low", "high", "p_holm")} <= paths


@pytest.mark.parametrize("name", CASES)
def test_nothing_in_it_reaches_out(pages: dict[str, str], name: str) -> None:
    reader = Reader(pages[name])
    assert "default-src 'none'" in pages[name]
    assert not {tag for tag, _ in reader.attributes} & {"script", "iframe", "object", "embed", "form"}
    identities = [str(a["id"]) for _, a in reader.attributes if "id" in a]
    assert len(identities) == len(set(identities))
    for tag, attributes in reader.attributes:
        for attribute in ("src", "href", "srcset", "action"):
            target = str(attributes.get(attribute) or "data:")
            assert target.startswith("data:") or target.removeprefix("#") in identities, tag
        assert not any(key.startswith("on") for key in attributes)
    style = pages[name].partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("name", CASES)
def test_pictures_have_words_and_tables_have_heads(pages: dict[str, str], name: str) -> None:
    reader = Reader(pages[name])
    for tag, attributes in reader.attributes:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if tag == "th":
            assert attributes.get("scope")
    headings = [tag for tag, _ in reader.attributes if tag in ("h1", "h2", "h3", "h4")]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1


@pytest.mark.parametrize(
    ("name", "shown", "absent"),
    [
        ("mask", ["By length of history"], ["Beside the paper", "What it looks at", "New, rare and known"]),
        ("target-concat", ["What it looks at", "Real rows", "By length of history"], ["Beside the paper"]),
        ("alignment", ["By ranker, norm and map", "no content"], ["By length of history"]),
        ("ablation", ["Beside the paper", "By ranker and content", "By k", "Training time"], ["What it looks at"]),
        ("guidance", ["New, rare and known items"], ["By length of history"]),
        ("quantisation", ["What the codes keep", "By kind, levels and codebook"], ["Beside the paper"]),
        ("sample", ["Best possible"], []),
        ("one seed", ["One seed: a dot is that training's AUC"], ["Small dots are single seeds"]),
        ("one arm", ["Every arm"], ["Is the difference more than luck?"]),
        (
            "gaps",
            ["no training of it has finished", "2 of 3 seeds", "Failed trainings", "seed 3: out of &lt;memory&gt;"],
            ["<memory>"],
        ),
    ],
)
def test_a_page_has_the_views_that_its_study_asks_for(
    pages: dict[str, str], name: str, shown: list[str], absent: list[str]
) -> None:
    for text in shown:
        assert text in pages[name]
    for text in absent:
        assert text not in pages[name]


def test_a_grid_holds_each_of_its_arms_once(pages: dict[str, str]) -> None:
    section = pages["alignment"].partition('id="factors-1"')[2].partition("</section>")[0]
    inside = re.findall(r'data-metric="(arms\.\d+\.auc\.mean)"', section)
    assert sorted(inside) == sorted(f"arms.{n}.auc.mean" for n in range(26))
    heats = [int(heat) for heat in re.findall(r"--heat: (\d+)%", section)]
    means = [lookup(CASES["alignment"], path) for path in inside]
    assert heats[means.index(max(means))] == max(heats) == 45
    assert heats[means.index(min(means))] == 0


def test_a_line_is_drawn_for_few_arms_and_a_table_alone_for_many(pages: dict[str, str]) -> None:
    assert "line s1" in pages["mask"]
    assert "line s1" not in pages["ablation"].partition("</style>")[2]


def test_slices_are_coloured_by_their_side_of_the_reference(pages: dict[str, str]) -> None:
    found = CASES["mask"]
    right, inverted = (arm["slices"]["history"] for arm in found["arms"])
    tones = {
        path: tone
        for tone, path in re.findall(
            r'<td class="(\w+)" style="--heat: \d+%"><data data-metric="([^"]+)"', pages["mask"]
        )
    }
    assert tones
    for n, (mine, theirs) in enumerate(zip(inverted, right, strict=True)):
        if mine["auc"] is not None:
            assert tones[f"arms.1.slices.history.{n}.auc"] == ("better" if mine["auc"] > theirs["auc"] else "worse")


def test_titles_are_text_and_each_cover_is_there_once(pages: dict[str, str]) -> None:
    page = pages["target-concat"]
    assert "A Quiet <b>" not in page
    assert "A Quiet &lt;b&gt;Machine" in page
    covers = re.findall(r'href="(data:image/jpeg[^"]+)"', page)
    assert len(covers) == len(set(covers)) == page.count("<symbol")
    assert page.count('class="map"') == 4  # two rows, two arms


def test_the_map_shows_the_weights_newest_first() -> None:
    found = results("target-concat")
    (example,) = examples(["with"], items=6, rows=1)
    page = render(found, [example])
    titles = re.findall(r"<title>(\d+) [^<]*? looks at (\d+) [^<]*?: ([0-9.]+)%</title>", page)
    assert len(titles) == 36
    for query, key, share in titles:
        assert float(share) == pytest.approx(100 * example["map"][-int(query)][-int(key)], abs=0.051)


def test_attention_on_padding_is_marked_as_a_fault() -> None:
    found = results("target-concat")
    layer = found["arms"][1]["attention"]["layers"][1]
    layer["largest_on_padding"] = found["arms"][1]["attention"]["largest_on_padding"] = 0.25
    page = page_of(found)
    assert 'class="number fail"' in page
    assert "Padding is attended to by “without” with a weight of up to 0.2500." in page
    assert 'class="number fail"' not in page_of(results("target-concat"))


def test_where_it_comes_from_is_told(pages: dict[str, str]) -> None:
    text = " ".join(" ".join(Reader(pages["mask"]).text).split())
    for fact in (
        "movielens-100k, 1,682 items",
        "40,000 of 80,000 train rows",
        "7,031 test rows",
        "1, 2, 3",
        "train.max_epochs=4",
        "2026-11-20",
        "0bdaf99",
        "AMD EPYC, 2 cores, 23.5 GB",
        "ab" * 32,
    ):
        assert fact in text


def test_both_files_are_written_and_hold_no_trace_of_the_other(tmp_path: Path) -> None:
    found = results("target-concat")
    before = json.dumps(found)
    write_report(found, examples(["with", "without"]), tmp_path / "new" / "study")
    written = sorted(path.name for path in (tmp_path / "new" / "study").iterdir())
    assert written == ["report.html", "table.md"]
    table = (tmp_path / "new" / "study" / "table.md").read_text()
    assert "Tin Orchard" not in table  # no title of the data leaves the page
    assert table.startswith("| arm | AUC [95%] |")
    assert json.dumps(found) == before


def test_a_note_that_several_arms_share_stands_once() -> None:
    found = results("mask")
    found["arms"][0]["note"] = found["arms"][1]["note"] = "Both of them."
    assert page_of(found).count("Both of them.") == 1


def test_a_bar_that_is_cut_off_is_told() -> None:
    found = results("mask")
    assert "goes on beyond it" not in page_of(found)
    found["arms"][0]["auc"].update(low=0.1, high=1.0)
    assert "A bar that meets the edge goes on beyond it." in page_of(found)
