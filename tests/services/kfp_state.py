"""What the stand-in for the Kubeflow Pipelines API server knows, and what each request does to it."""

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tests.services.kfp_contract import check, check_cron, check_parameters, pipeline_of

Fault = Literal["drop", "lose", "unavailable", "fail-after", "hang"]


class ApiError(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class KfpState:
    """What the server knows. Tests read it, and script how runs go."""

    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[tuple[str, str, Fault]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    script: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "SUCCEEDED"])
    page_size: int = 100  # the largest page it gives, whatever was asked for
    hang_seconds: float = 1.2
    multi_user: bool = False
    token: str = ""  # the one that is valid now; empty: nobody is asked for one
    _specs: dict[str, Any] = field(default_factory=dict)
    _clock: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def inject(self, method: str, path: str, fault: Fault, times: int = 1) -> None:
        self.faults += [(method, path, fault)] * times

    def now(self) -> str:
        """Each call is a second later: an order that tests can rely on."""
        self._clock += timedelta(seconds=1)
        return self._clock.isoformat().replace("+00:00", "Z")

    def fault_for(self, method: str, path: str) -> Fault | None:
        for index, (wanted, pattern, fault) in enumerate(self.faults):
            if wanted == method and re.search(pattern, path):
                del self.faults[index]
                return fault
        return None

    # What the API does

    def create_pipeline(self, body: dict[str, Any]) -> dict[str, Any]:
        check("V2beta1Pipeline", body)
        if any(
            (p["name"], p.get("namespace")) == (body["name"], body.get("namespace")) for p in self.pipelines.values()
        ):
            raise ApiError(409, f"pipeline {body['name']} exists already")
        return self._new("pipeline_id", self.pipelines, **body)

    def upload_version(self, pipeline_id: str, name: str, text: str) -> dict[str, Any]:
        spec = pipeline_of(text)
        self._get(self.pipelines, pipeline_id)
        if any(v["name"] == name and v["pipeline_id"] == pipeline_id for v in self.versions.values()):
            raise ApiError(409, f"version {name} exists already")
        version = self._new("pipeline_version_id", self.versions, name=name, display_name=name, pipeline_id=pipeline_id)
        self._specs[version["pipeline_version_id"]] = spec
        return version

    def create_experiment(self, body: dict[str, Any]) -> dict[str, Any]:
        check("V2beta1Experiment", body)
        if any(e["display_name"] == body["display_name"] for e in self.experiments.values()):
            raise ApiError(409, f"experiment {body['display_name']} exists already")
        return self._new("experiment_id", self.experiments, **body, storage_state="AVAILABLE")

    def create_run(self, body: dict[str, Any]) -> dict[str, Any]:
        check("V2beta1Run", body)
        self._check_job(body)
        return self._new("run_id", self.runs, **body, state="PENDING", storage_state="AVAILABLE")

    def create_schedule(self, body: dict[str, Any]) -> dict[str, Any]:
        check("V2beta1RecurringRun", body)
        self._check_job(body)
        check_cron(body["trigger"]["cron_schedule"]["cron"])
        if not 1 <= int(body.get("max_concurrency", 1)) <= 10:
            raise ApiError(400, "max_concurrency must lie in [1, 10]")
        status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}.get(body.get("mode", ""))
        if status is None:
            raise ApiError(400, "mode must be ENABLE or DISABLE")
        body = {**body, "max_concurrency": str(body.get("max_concurrency", 1))}
        return self._new("recurring_run_id", self.schedules, **body, status=status)

    def _check_job(self, body: dict[str, Any]) -> None:
        if not body.get("display_name"):
            raise ApiError(400, "display_name must not be empty")
        if body.get("experiment_id") not in self.experiments:
            raise ApiError(404, f"experiment {body.get('experiment_id')} not found")
        reference = body.get("pipeline_version_reference", {})
        spec = self._specs.get(reference.get("pipeline_version_id", ""))
        if spec is None:
            raise ApiError(404, "pipeline version not found")
        check_parameters(spec, body.get("runtime_config", {}).get("parameters", {}))

    def read_run(self, run_id: str) -> dict[str, Any]:
        """Every look moves the run one state further along the script."""
        run = self._get(self.runs, run_id)
        if run["state"] in self.script[:-1]:
            run["state"] = self.script[self.script.index(run["state"]) + 1]
            detail = {"display_name": "ingest", "state": run["state"]}
            if run["state"] == "FAILED":
                detail["error"] = {"code": 13, "message": "the data is not there"}
            run["run_details"] = {"task_details": [detail]}
        check("V2beta1Run", run, "answer")
        return run

    def _get(self, items: dict[str, dict[str, Any]], identity: str) -> dict[str, Any]:
        if identity not in items:
            raise ApiError(404, f"{identity} not found")
        return items[identity]

    def _new(self, key: str, items: dict[str, dict[str, Any]], **values: Any) -> dict[str, Any]:
        item = {key: str(uuid.uuid4()), "created_at": self.now(), **{k: v for k, v in values.items() if v is not None}}
        items[item[key]] = item
        return item

    def page(self, items: list[dict[str, Any]], key: str, query: dict[str, str]) -> dict[str, Any]:
        for predicate in json.loads(query.get("filter") or "{}").get("predicates", []):
            check("V2beta1Predicate", predicate, "filter")
            items = [item for item in items if item.get(predicate["key"]) == predicate["string_value"]]
        if query.get("sort_by", "").endswith(" desc"):
            items = items[::-1]
        begin, size = int(query.get("page_token") or 0), min(int(query.get("page_size") or 10), self.page_size)
        answer: dict[str, Any] = {key: items[begin : begin + size], "total_size": len(items)}
        if begin + size < len(items):
            answer["next_page_token"] = str(begin + size)
        return answer
