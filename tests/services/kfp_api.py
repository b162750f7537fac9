"""A stand-in for the Kubeflow Pipelines API server, which needs a cluster: state in memory, judged by the contract.

It answers what the API server answers, to the real `kfp.Client`, over HTTP. A test can lose its answers, delay them, or
fail requests before or after they took effect.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.services.kfp_contract import ContractError
from tests.services.kfp_state import ApiError, KfpState

PREFIX = "/apis/v2beta1"


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
            if self.state.token and self.headers.get("Authorization") != f"Bearer {self.state.token}":
                return self._answer(401, {"code": 16, "message": "Unauthenticated: the token is expired"})
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
                return {"multi_user": state.multi_user}
            case "POST", ["pipelines"]:
                return state.create_pipeline(json.loads(body))
            case "POST", ["pipelines", "upload_version"]:
                return state.upload_version(query["pipelineid"], query["name"], self._uploaded(body))
            case "GET", ["pipelines"]:
                return state.page(self._of_namespace(state.pipelines, query), "pipelines", query)
            case "GET", ["pipelines", identity, "versions"]:
                versions = [v for v in state.versions.values() if v["pipeline_id"] == identity]
                return state.page(versions, "pipeline_versions", query)
            case "POST", ["experiments"]:
                return state.create_experiment(json.loads(body))
            case "GET", ["experiments"]:
                return state.page(self._of_namespace(state.experiments, query), "experiments", query)
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

    def _of_namespace(self, items: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        """A single-user installation ignores the namespace."""
        wanted = query.get("namespace")
        return [item for item in items.values() if not self.state.multi_user or item.get("namespace") == wanted]

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
