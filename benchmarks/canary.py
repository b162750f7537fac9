"""How often the canary's report recommends a challenger that is no better, and how soon one that is.

    python -m benchmarks.canary --out benchmarks/results/canary.json [--only split]

Each run is one made-up trial that is looked at 20 times, as on 20 mornings, and ends at the first `promote`. In the A/A
runs the two versions are equally good: every promotion is false. `once_a_look` is what the gate's test for one look
would have done at the same looks.

Shadow: every user brings two requests with four items each; both versions see an item's appeal through noise of their
own, a part of which is the same for all rows of a user. Split: users bring requests of their own number and click at
rates of their own, and a share of the users has the challenger.
"""

import argparse
import json
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from components.canary.report import EFFECT, enough, judged, rate_difference
from components.statistics.intervals import difference_by_user, p_better, wilson
from components.statistics.sequential import FEWEST, FEWEST_CLICKS

LOOKS, ALPHA = 20, 0.05
Estimates = Iterator[tuple[float, float] | None]  # a value and its error, at each look; None: too few


def shadow(random: np.random.Generator, users: int, intercept: float, gain: float) -> Estimates:
    """`gain`: how much less noise the challenger has, as a share of the champion's."""
    rows = 8
    user = np.repeat(np.arange(users), rows)
    appeal = random.normal(size=users * rows)
    chance = 1 / (1 + np.exp(-(appeal + 0.5 * random.normal(size=users)[user] + intercept)))
    labels = (random.random(users * rows) < chance).astype(int)
    scores = []
    for less in (0.0, gain):
        noise = 0.5 * random.normal(size=users)[user] + random.normal(size=users * rows)
        scores.append(appeal + (1 - less) * noise)
    for seen in looks(users):
        part = slice(0, seen * rows)
        found = difference_by_user(labels[part], scores[1][part], scores[0][part], user[part], 0.9)
        yield found.value, found.error


def split(random: np.random.Generator, users: int, rate: float, share: float, gain: float) -> Estimates:
    """`gain`: clicks a request that the challenger brings beyond `rate`."""
    requests = 1 + random.poisson(2, users)
    user = np.repeat(np.arange(users), requests)
    tried_users = random.random(users) < share
    own = random.beta(rate * 5, (1 - rate) * 5, users) + gain * tried_users
    clicks = (random.random(len(user)) < own[user]).astype(float)
    tried = tried_users[user]
    for seen in looks(users):
        part = slice(0, int(requests[:seen].sum()))
        seen_of = clicks[part], tried[part], user[part]
        yield rate_difference(*seen_of) if enough(*seen_of) else None


def looks(users: int) -> list[int]:
    return [int(seen) for seen in np.linspace(0, users, LOOKS + 1)[1:]]


def measure(name: str, runs: int, users: int, effect: float, make: Callable[[Any], Estimates]) -> dict[str, Any]:
    promoted, naive, worse, at, values = 0, 0, 0, [], []
    for run in range(runs):
        random = np.random.default_rng([run, zlib.crc32(name.encode())])
        estimates = list(make(random))
        verdicts = [judged(*each, effect, ALPHA, 0.0)["verdict"] if each else "open" for each in estimates]
        naive += any(p_better(*each) < ALPHA for each in estimates if each)
        worse += "worse" in verdicts
        values += [estimate[0] for estimate in estimates[-1:] if estimate]
        if "promote" in verdicts:
            promoted += 1
            at.append(looks(users)[verdicts.index("promote")])
    return {
        "case": name,
        "runs": runs,
        "users": users,
        "looks": LOOKS,
        "effect": effect,
        "true_difference": round(float(np.mean(values)), 5),
        "promoted": round(promoted / runs, 4),
        "promoted_95": [round(limit, 4) for limit in wilson(promoted, runs, 0.95)],
        "once_a_look": round(naive / runs, 4),
        "worse": round(worse / runs, 4),
        "median_users_to_promote": int(np.median(at)) if at else None,
    }


def cases(runs: int, power_runs: int) -> Iterator[tuple[str, int, int, float, Callable[[Any], Estimates]]]:
    for click, intercept in (("a quarter clicked", -1.4), ("3% clicked", -4.2)):
        make = partial(shadow, users=4000, intercept=intercept, gain=0.0)
        yield f"A/A, shadow, {click}", runs, 4000, EFFECT["shadow"], make
    for rate, share in ((0.3, 0.5), (0.3, 0.1), (0.02, 0.1)):
        make = partial(split, users=20_000, rate=rate, share=share, gain=0.0)
        yield f"A/A, split, rate {rate}, share {share}", runs, 20_000, EFFECT["split"], make
    for gain in (0.03, 0.06, 0.12):
        make = partial(shadow, users=12_000, intercept=-1.4, gain=gain)
        yield f"better, shadow, noise × {1 - gain:.2f}", power_runs, 12_000, EFFECT["shadow"], make
    for gain in (0.01, 0.02, 0.04):
        make = partial(split, users=20_000, rate=0.3, share=0.5, gain=gain)
        yield f"better, split, rate 0.3, share 0.5, {gain} more", power_runs, 20_000, EFFECT["split"], make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--power-runs", type=int, default=100)
    parser.add_argument("--only", default="", help="Measure the cases with this in their name; keep the others.")
    given = parser.parse_args()
    results = (
        {each["case"]: each for each in json.loads(given.out.read_text())["results"]} if given.out.exists() else {}
    )
    here = machine()
    for case in cases(given.runs, given.power_runs):
        if given.only in case[0]:
            results[case[0]] = {**measure(*case), "commit": here["commit"]}
            print(json.dumps(results[case[0]], ensure_ascii=False), flush=True)
    ordered = [results[name] for name, *_ in cases(1, 1) if name in results]
    limits = {"alpha": ALPHA, "fewest_users": FEWEST, "fewest_clicks": FEWEST_CLICKS}
    given.out.write_text(json.dumps({**here, **limits, "results": ordered}, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
