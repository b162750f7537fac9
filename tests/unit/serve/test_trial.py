"""A challenger beside the champion: who answers, what is logged, and that its troubles stay its own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from components.errors import StepError
from components.request_log.choice import place
from components.request_log.read import Period, read_tables
from components.request_log.writer import LogConfig, RequestLog
from components.serve.app import make_app
from components.serve.follow import Follower
from components.serve.limits import Queue
from components.serve.make_trial import TrialConfig, make_trial
from components.serve.shadow import Shadow
from components.serve.trial import Trial, checked
from components.serve.version import Scores, ServedVersion
from components.storage.objects import LocalStore
from tests.unit.request_log.test_writer import SALT
from tests.unit.serve.test_app import RANK, ROWS, served_version, tensors

CHAMPION, CHALLENGER = served_version(3, seed=1), served_version(4, seed=2)


def following(current: ServedVersion | None) -> Follower:
    return Follower(None, "challenger", None, 1.0, current=current, problem="")  # type: ignore[arg-type]


class Broken(ServedVersion):
    """Raises in place of answering."""

    def rank(self, *_: Any) -> Scores:
        raise RuntimeError("the challenger's tensors do not fit")


class Nan(ServedVersion):
    def rank(self, *given: Any) -> Scores:
        scores = super().rank(*given)
        return replace(scores, logit=np.full_like(scores.logit, np.nan))


class Slow(ServedVersion):
    def rank(self, *given: Any) -> Scores:
        time.sleep(0.02)
        return super().rank(*given)


def as_kind(kind: type[ServedVersion], version: ServedVersion = CHALLENGER) -> ServedVersion:
    return kind(version.number, version.item_table, version.scorer)


@contextmanager
def serving(trial: Trial) -> Iterator[TestClient]:
    trial.challenger = trial.challenger or following(None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial.challenger, "start", lambda: None)  # there is no registry
        trial.start()
    try:
        with TestClient(make_app("mmctr", following(CHAMPION), Queue(32, 60.0), trial)) as client:
            yield client
    finally:
        trial.stop()


def log_in(folder: Path, **config: Any) -> RequestLog:
    return RequestLog(LocalStore(folder), SALT, LogConfig(**{"file_seconds": 0.1, **config}))


def logged(folder: Path) -> list[dict[str, Any]]:
    store = LocalStore(folder)
    rows: list[dict[str, Any]] = pa.concat_tables(read_tables(store, Period())).to_pylist()
    return rows


def ask(client: TestClient, user: str | None = None, **headers: str) -> Any:
    return client.post("/rank", json=RANK, headers=headers | ({"X-User-Id": user} if user else {}))


def test_every_answer_carries_an_id_and_keeps_the_one_it_was_given() -> None:
    with serving(Trial()) as client:
        made = {ask(client).headers["x-request-id"] for _ in range(3)}
        assert len(made) == 3
        assert ask(client, **{"X-Request-Id": "page-7"}).headers["x-request-id"] == "page-7"
        assert client.post("/rank", content=b"{").headers["x-request-id"]
        wrong = ask(client, **{"X-Request-Id": "a b"})
        assert (wrong.status_code, wrong.json()["error"][:12]) == (422, "X-Request-Id")
        wrong = ask(client, "u" * 257)
        assert (wrong.status_code, wrong.json()["error"][:9]) == (422, "X-User-Id")


def test_a_share_of_the_users_is_answered_by_the_challenger_and_always_the_same_ones() -> None:
    trial = Trial(following(CHALLENGER), canary=0.3)
    with serving(trial) as client:
        champion, challenger = scores_of(client), scores_of(client, CHALLENGER)
        seen: dict[str, set[int]] = {}
        for user in [str(number) for number in range(60)] * 2:
            answer = ask(client, user).json()
            seen.setdefault(user, set()).add(answer["version"])
            expected = challenger if answer["version"] == 4 else champion
            assert answer["scores"] == pytest.approx(expected, abs=1e-9)  # no answer mixes two versions
        text = client.get("/metrics").text
    assert all(len(versions) == 1 for versions in seen.values())
    chosen = {user for user, versions in seen.items() if versions == {4}}
    assert chosen == {user for user in seen if place("canary 4", user) < 0.3}
    assert 8 <= len(chosen) <= 28
    assert f'mmctr_canary_requests_total{{outcome="challenger"}} {2.0 * len(chosen)}' in text
    assert "mmctr_challenger_version 4.0" in text


def scores_of(client: TestClient, version: ServedVersion = CHAMPION) -> list[float]:
    with TestClient(make_app("mmctr", following(version), Queue(32, 60.0))) as alone:
        scores: list[float] = ask(alone).json()["scores"]
    assert client is not alone
    return scores


@pytest.mark.parametrize("kind", [Broken, Nan])
def test_the_champion_answers_where_the_challenger_cannot(kind: type[ServedVersion], tmp_path: Path) -> None:
    trial = Trial(following(as_kind(kind)), canary=1.0, log=log_in(tmp_path))
    with serving(trial) as client:
        answer = ask(client, "ada")
        assert (answer.status_code, answer.json()["version"]) == (200, 3)
        assert 'mmctr_canary_requests_total{outcome="failed"} 1.0' in client.get("/metrics").text
    assert {(row["arm"], row["version"]) for row in logged(tmp_path)} == {(4, 3)}


def test_a_challenger_of_other_features_does_not_refuse_what_the_champion_reads() -> None:
    features = replace(CHALLENGER.scorer.features, row=CHALLENGER.scorer.features.row[:1])
    scorer = type(CHALLENGER.scorer)(CHALLENGER.scorer.ranker, CHALLENGER.scorer.known, features)
    trial = Trial(following(replace(CHALLENGER, scorer=scorer)), canary=1.0)
    with serving(trial) as client:
        assert ask(client).json()["version"] == 3
        wrong = client.post("/rank", json={**RANK, "likes_level": [11] * 5})
        assert wrong.status_code == 422
        assert "version 3" not in wrong.json()["error"]
    assert trial.counts.failed >= 1


def test_a_slow_challenger_rests() -> None:
    trial = Trial(following(as_kind(Slow)), canary=1.0, patience=0.001)
    with serving(trial) as client:
        assert [ask(client).json()["version"] for _ in range(3)] == [4, 3, 3]
    assert (trial.counts.slow, trial.counts.challenger, trial.counts.failed) == (1, 1, 2)


def test_without_a_challenger_the_champion_answers_and_readyz_says_why() -> None:
    for current in (None, CHAMPION):  # none is loaded; the challenger was promoted
        trial = Trial(following(current), canary=1.0)
        with serving(trial) as client:
            assert ask(client).json()["version"] == 3
            number = current.number if current else None
            assert client.get("/readyz").json()["challenger"] == {"version": number, "problem": ""}
        assert trial.counts.failed == 0


def test_a_challenger_whose_alias_was_removed_is_not_served_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.serve import follow

    class Registry:
        name = "mmctr"

    monkeypatch.setattr(follow, "version_at", lambda *_: None)
    challenger = Follower(Registry(), "challenger", None, 1.0, optional=True, current=CHALLENGER)  # type: ignore[arg-type]
    challenger.look()
    assert challenger.current is None
    champion = Follower(Registry(), "champion", None, 1.0, current=CHAMPION)  # type: ignore[arg-type]
    champion.look()
    assert champion.current is CHAMPION


def test_all_routes_are_logged_with_the_scores_of_the_answer(tmp_path: Path) -> None:
    with serving(Trial(log=log_in(tmp_path))) as client:
        ranked = ask(client, "ada", **{"X-Request-Id": "rank"}).json()
        rows = client.post("/score", json={"rows": ROWS}, headers={"X-Request-Id": "score"}).json()
        client.post("/v2/models/mmctr/infer", json={"inputs": tensors()}, headers={"X-Request-Id": "infer"})
        client.post("/rank", json={**RANK, "item_id": []}, headers={"X-Request-Id": "refused"})
        client.get("/readyz")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in logged(tmp_path):
        found.setdefault(row["request_id"], []).append(row)
    assert set(found) == {"rank", "score", "infer"}
    for request, expected in (("rank", ranked), ("score", rows), ("infer", rows)):
        scores = 1 / (1 + np.exp(-np.array([row["logit"] for row in found[request]], np.float64)))
        assert scores.tolist() == pytest.approx(expected["scores"], abs=1e-7)
        assert [row["known"] for row in found[request]] == expected["known"]
        assert [row["feature_likes_level"] for row in found[request]] == RANK["likes_level"]
        assert {row["item_table"] for row in found[request]} == {"c" * 64}
    assert {(row["user"] is None, row["user"] == "ada") for row in found["rank"]} == {(False, False)}
    assert {row["user"] for row in found["score"]} == {None}
    assert {(row["history_length"], row["history_unknown"]) for row in found["rank"]} == {(4, 1)}
    assert [row["history_length"] for row in found["score"]] == [0, 3, 0, 3, 0]


def test_the_sample_is_of_users(tmp_path: Path) -> None:
    log = log_in(tmp_path, rate=0.5)
    users = [str(number) for number in range(20)]
    with serving(Trial(log=log)) as client:
        for user in users * 2:
            ask(client, user)
    kept = {log.pseudonym(user) for user in users if place("log", user) < 0.5}
    found = [row["user"] for row in logged(tmp_path)]
    assert set(found) == kept
    assert len(found) == 2 * 5 * len(kept)


def test_in_the_shadow_both_score_and_the_champion_answers(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    trial = Trial(following(CHALLENGER), log=log, shadow=Shadow(0.5, log, lambda: False, checked))
    users = [str(number) for number in range(20)]
    with serving(trial) as client:
        answers = [ask(client, user).json() for user in users]
        second = scores_of(client, CHALLENGER)
        while trial.shadow and trial.shadow.counts.scored < sum(place("log", user) < 0.5 for user in users):
            time.sleep(0.01)
    assert {answer["version"] for answer in answers} == {3}
    rows = logged(tmp_path)
    shadowed = {log.pseudonym(user) for user in users if place("log", user) < 0.5}
    assert {row["user"] for row in rows if row["shadow"] == 4} == shadowed
    assert len({row["request_id"] for row in rows}) == 20
    scores = [1 / (1 + np.exp(-np.float64(row["shadow_logit"]))) for row in rows if row["shadow"] == 4]
    assert scores[:5] == pytest.approx(second, abs=1e-7)


def test_the_shadow_waits_for_an_idle_moment_and_is_bounded(tmp_path: Path) -> None:
    log, busy = log_in(tmp_path), threading.Event()
    busy.set()
    trial = Trial(following(CHALLENGER), log=log, shadow=Shadow(1.0, log, busy.is_set, checked, waiting=2))
    with serving(trial) as client:
        assert {ask(client).status_code for _ in range(6)} == {200}
        assert trial.shadow is not None
        assert trial.shadow.counts.scored == 0
        busy.clear()
        while trial.shadow.counts.scored + trial.shadow.counts.dropped < 6:
            time.sleep(0.01)
        assert 'mmctr_shadow_requests_total{outcome="dropped"}' in client.get("/metrics").text
    counts = trial.shadow.counts
    assert counts.dropped >= 3
    rows = logged(tmp_path)
    assert len({row["request_id"] for row in rows}) == 6  # all are logged
    assert len({row["request_id"] for row in rows if row["shadow"]}) == counts.scored


@pytest.mark.parametrize(("kind", "outcome"), [(Broken, "failed"), (Nan, "failed"), (None, "absent")])
def test_a_challenger_that_fails_in_the_shadow_is_counted(
    kind: type[ServedVersion] | None, outcome: str, tmp_path: Path
) -> None:
    log = log_in(tmp_path)
    challenger = None if kind is None else as_kind(kind)
    trial = Trial(following(challenger), log=log, shadow=Shadow(1.0, log, lambda: False, checked))
    with serving(trial) as client:
        assert ask(client).status_code == 200
        while trial.shadow and not getattr(trial.shadow.counts, outcome):
            time.sleep(0.01)
    assert {(row["version"], row["shadow"]) for row in logged(tmp_path)} == {(3, None)}


def test_wrong_options_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for config, error in (
        ({"canary": 1.5}, "--canary = 1.5"),
        ({"canary": 0.1, "shadow": 0.1, "log": "x"}, "--canary and --shadow: give one of them"),
        ({"shadow": 0.1}, "--shadow: give --log as well"),
        ({"shadow": 0.2, "log": "x", "files": LogConfig(rate=0.1)}, "must be at most --log-rate, 0.1"),
    ):
        with pytest.raises(ValueError, match=error):
            TrialConfig(**config)
    monkeypatch.delenv("MMCTR_LOG_SALT", raising=False)
    config_of_log = TrialConfig(shadow=0.5, log=str(tmp_path), challenger="7")
    with pytest.raises(StepError, match="MMCTR_LOG_SALT is not set"):
        make_trial(None, tmp_path, config_of_log, 1.0, "eager", Queue(32, 60.0))  # type: ignore[arg-type]
    monkeypatch.setenv("MMCTR_LOG_SALT", "a salt of the tests")
    trial = make_trial(None, tmp_path, config_of_log, 1.0, "eager", Queue(32, 60.0))  # type: ignore[arg-type]
    assert trial.challenger is not None
    assert (trial.challenger.number, trial.challenger.optional) == (7, True)
    assert trial.shadow is not None
