"""A stand-in for the Kubeflow Pipelines API server, which needs a cluster: state in memory, judged by the contract.

It answers what the API server answers, to the real `kfp.Client`, over HTTP. A test can lose its answers, delay them, or
fail requests before or after they took effect.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from tests.services.kfp_contract import ContractError, check, check_cron, check_parameters, pipeline_of

Fault = Literal["drop", "lose", "unavailable", "fail-after", "hang"]
PREFIX = "/apis/v2beta1"


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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet: in two, the client's delayed acknowledgement costs 40 ms
    state: KfpState
    lock: threading.Lock

    def log_message(self, *_: Any) -> None:
        """A test's output is the test's."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path, query = unquote(url.path), {key: values[0] for key, values in parse_qs(url.query).items()}
        with self.lock:
            self.state.requests.append(f"{self.command} {path}")
            fault = self.state.fault_for(self.command, path)
            if fault == "drop":
                return self._hang_up()
            if fault == "unavailable":
                return self._answer(503, {"code": 14, "message": "the server is being restarted"})
            status, answer = self._result(path, query, body)
        if fault == "lose":
            return self._hang_up()
        if fault == "hang":
            time.sleep(self.state.hang_seconds)
            return self._hang_up()
        if fault == "fail-after":
            status, answer = 500, {"code": 13, "message": "the database did not answer"}
        return self._answer(status, answer)

    do_GET = do_POST = do_DELETE = _serve

    def _result(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            return 200, self._route(path.removeprefix(PREFIX), query, body)
        except ContractError as error:
            return 400, {"code": 3, "message": str(error)}
        except ApiError as error:
            return error.status, {"code": 5, "message": str(error)}

    def _route(self, path: str, query: dict[str, str], body: bytes) -> dict[str, Any]:
        state, method = self.state, self.command
        match method, path.strip("/").split("/"):
            case "GET", ["healthz"]:
                return {"multi_user": True}
            case "POST", ["pipelines"]:
                return state.create_pipeline(json.loads(body))
            case "POST", ["pipelines", "upload_version"]:
                return state.upload_version(query["pipelineid"], query["name"], self._uploaded(body))
            case "GET", ["pipelines"]:
                mine = [p for p in state.pipelines.values() if p.get("namespace") == query.get("namespace")]
                return state.page(mine, "pipelines", query)
            case "GET", ["pipelines", identity, "versions"]:
                versions = [v for v in state.versions.values() if v["pipeline_id"] == identity]
                return state.page(versions, "pipeline_versions", query)
            case "POST", ["experiments"]:
                return state.create_experiment(json.loads(body))
            case "GET", ["experiments"]:
                return state.page(list(state.experiments.values()), "experiments", query)
            case "POST", ["runs"]:
                return state.create_run(json.loads(body))
            case "GET", ["runs"]:
                return state.page(self._of_experiment(state.runs, query), "runs", query)
            case "GET", ["runs", identity]:
                return state.read_run(identity)
            case "POST", ["runs", action] if action.endswith(":terminate"):
                state._get(state.runs, action.removesuffix(":terminate"))["state"] = "CANCELED"
                return {}
            case "POST", ["recurringruns"]:
                return state.create_schedule(json.loads(body))
            case "GET", ["recurringruns"]:
                return state.page(self._of_experiment(state.schedules, query), "recurringRuns", query)
            case "DELETE", ["recurringruns", identity]:
                state._get(state.schedules, identity)
                del state.schedules[identity]
                return {}
            case "POST", ["recurringruns", action] if action.endswith((":enable", ":disable")):
                identity, _, verb = action.partition(":")
                state._get(state.schedules, identity)["status"] = verb.upper() + "D"
                return {}
        raise ApiError(404, f"{method} {path} is no part of the API")

    def _of_experiment(self, items: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        return [item for item in items.values() if item["experiment_id"] == query.get("experiment_id")]

    def _uploaded(self, body: bytes) -> str:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        for part in BytesParser().parsebytes(head + body).walk():
            if part.get_param("name", header="content-disposition") == "uploadfile":
                payload = part.get_payload(decode=True)
                assert isinstance(payload, bytes)
                return payload.decode()
        raise ApiError(400, "the request has no uploadfile")

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True


@contextmanager
def kfp_api() -> Iterator[tuple[str, KfpState]]:
    """The address of a fresh server, and its state."""
    state = KfpState()
    handler = type("Handler", (_Handler,), {"state": state, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
