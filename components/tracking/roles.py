"""Who may do what on the MLflow server, enforced by the server itself before MLflow's own permissions.

    # the server's auth configuration (MLFLOW_AUTH_CONFIG_PATH) authorization_function =
    components.tracking.roles:authenticate

MLflow's basic-auth app has two gaps that this hook closes.

* It knows one permission, EDIT, for making a version and for moving any alias, so a pipeline that may register could
  also promote. Here an EDIT account may register and set `challenger`. Everything else about a registered model needs
  MANAGE, and the logs of decisions and of item tables (`NAME-decisions`, `NAME-items`) may only grow.
* It can authorise one thing while the handler does another: for a DELETE that is not JSON, MLflow checks the name in
  the query, and the handler then acts on the name in the body. Here a request says what it wants in one place only:
  a GET in its query, everything else in a JSON body (or in the path).

Only the routes that are listed below are open to accounts that are not administrators. A route that a new version of
MLflow adds is refused until someone has looked at it. The server needs this file and nothing else of the project.
"""

import re
from typing import Any

from flask import Response, g, make_response, request
from mlflow.server import auth

LOG_SUFFIXES = ("-decisions", "-items")  # of the names of logs
_DECISION_TAGS, _STATUS, _PENDING = "mmctr.decision", "validation_status", "pending"

# METHOD PATH, without the prefix `/api/2.0` or `/ajax-api/3.0`. MLflow's own permissions still apply to each of them.
_READS = """
GET /
GET /version
GET /static-files/<path:path>
GET /build/<path:filename>
GET /get-artifact
GET /model-versions/get-artifact
POST /graphql
GET /mlflow/server-info
GET /mlflow/users/current
GET /mlflow/users/current/permissions
GET /mlflow/workspaces
GET /mlflow/ui-telemetry
GET /mlflow/experiments/get
GET /mlflow/experiments/get-by-name
GET /mlflow/experiments/search
POST /mlflow/experiments/search
POST /mlflow/experiments/search-datasets
GET /mlflow/runs/get
POST /mlflow/runs/search
GET /mlflow/metrics/get-history
GET /mlflow/metrics/get-history-bulk
GET /mlflow/metrics/get-history-bulk-interval
GET /mlflow/traces
POST /mlflow/traces/search
GET /mlflow/artifacts/list
GET /mlflow-artifacts/artifacts
GET /mlflow-artifacts/artifacts/<path:artifact_path>
GET /mlflow/logged-models/<model_id>
GET /mlflow/logged-models/<model_id>/artifacts/directories
GET /mlflow/logged-models/<model_id>/artifacts/files
POST /mlflow/logged-models/search
GET /mlflow/registered-models/get
GET /mlflow/registered-models/search
GET /mlflow/registered-models/alias
GET /mlflow/registered-models/get-latest-versions
POST /mlflow/registered-models/get-latest-versions
GET /mlflow/model-versions/get
GET /mlflow/model-versions/search
GET /mlflow/model-versions/get-download-uri
"""
_TRACKING = """
POST /mlflow/experiments/create
POST /mlflow/experiments/update
POST /mlflow/experiments/delete
POST /mlflow/experiments/restore
POST /mlflow/experiments/set-experiment-tag
POST /mlflow/experiments/delete-experiment-tag
POST /mlflow/runs/create
POST /mlflow/runs/update
POST /mlflow/runs/delete
POST /mlflow/runs/restore
POST /mlflow/runs/log-batch
POST /mlflow/runs/log-metric
POST /mlflow/runs/log-parameter
POST /mlflow/runs/log-inputs
POST /mlflow/runs/log-model
POST /mlflow/runs/outputs
POST /mlflow/runs/set-tag
POST /mlflow/runs/delete-tag
POST /mlflow/logged-models
PATCH /mlflow/logged-models/<model_id>
DELETE /mlflow/logged-models/<model_id>
POST /mlflow/logged-models/<model_id>/params
PATCH /mlflow/logged-models/<model_id>/tags
DELETE /mlflow/logged-models/<model_id>/tags/<tag_key>
POST /mlflow-artifacts/mpu/create/<path:artifact_path>
POST /mlflow-artifacts/mpu/complete/<path:artifact_path>
POST /mlflow-artifacts/mpu/abort/<path:artifact_path>
DELETE /mlflow-artifacts/artifacts/<path:artifact_path>
"""
_UPLOAD = "PUT /mlflow-artifacts/artifacts/<path:artifact_path>"  # the body is the file
_CREATE_MODEL = "POST /mlflow/registered-models/create"
_CREATE_VERSION = "POST /mlflow/model-versions/create"
_ALIASES = ("POST /mlflow/registered-models/alias", "DELETE /mlflow/registered-models/alias")
# Not listed, so only for administrators: renaming a model, and MLflow's old stages.
_PROMOTERS = """
PATCH /mlflow/registered-models/update
DELETE /mlflow/registered-models/delete
POST /mlflow/registered-models/set-tag
DELETE /mlflow/registered-models/delete-tag
PATCH /mlflow/model-versions/update
DELETE /mlflow/model-versions/delete
POST /mlflow/model-versions/set-tag
DELETE /mlflow/model-versions/delete-tag
"""
_NOT_REGISTRY = {*_READS.strip().splitlines(), *_TRACKING.strip().splitlines(), _UPLOAD}
_REGISTRY = {*_PROMOTERS.strip().splitlines(), *_ALIASES, _CREATE_MODEL, _CREATE_VERSION}
_PREFIX = re.compile(r"^/(?:ajax-)?api/\d+\.\d+(?=/)")
_ONLY_A_PROMOTER = "only a promoter, who has MANAGE on the registered model, may do this"


def authenticate() -> Any:
    """Called by MLflow for each request: the account, or the answer that refuses it."""
    who = auth.authenticate_request_basic_auth()
    if isinstance(who, Response) or "mmctr_role_checked" in g:
        return who
    g.mmctr_role_checked = True  # looking up a permission asks for the account again
    if auth.store.get_user(who.username).is_admin:
        return who
    if refused := _refusal():
        return make_response({"error_code": "PERMISSION_DENIED", "message": refused}, 403)
    return who


def _refusal() -> str | None:
    """Why this request is refused; None where MLflow may go on and apply its own permissions."""
    rule = request.url_rule
    route = f"{request.method} {_PREFIX.sub('', rule.rule)}" if rule else f"{request.method} {request.path}"
    if route not in _NOT_REGISTRY and route not in _REGISTRY:
        return f"{route} is not open to this account: components/tracking/roles.py lists the routes that are"
    if route == _UPLOAD:
        return "an upload is named by its path alone, so it takes no query" if request.args else None
    return _refuse_ambiguous() or (
        _refuse_by_role(route, request.get_json(silent=True)) if route in _REGISTRY else None
    )


def _refuse_ambiguous() -> str | None:
    """MLflow must read the same values when it authorises and when it acts."""
    data = request.get_data()
    if request.method == "GET":
        asked: Any = request.args
        if data:
            return "a GET request says what it asks for in its query, so it takes no body"
    else:
        if request.args:
            return f"a {request.method} request says what it wants in its JSON body, so it takes no query"
        if data and request.mimetype != "application/json":
            return f"the Content-Type is {request.mimetype or 'not set'}: it must be application/json"
        asked = request.get_json(silent=True) if data else {}
        if not isinstance(asked, dict):
            return "the body must be one JSON object"
    twice = {name for name, value in (request.view_args or {}).items() if asked.get(name, value) != value}
    if asked.get("run_id") and asked.get("run_uuid") and asked["run_id"] != asked["run_uuid"]:
        twice.add("run_id")
    return f"the request names two different values of {min(twice)}" if twice else None


def _refuse_by_role(route: str, body: Any) -> str | None:
    name = body.get("name") if body else None
    if not isinstance(name, str):
        return 'the body must name the registered model: {"name": "..."}'
    if name.endswith(LOG_SUFFIXES):
        return _refuse_on_log(route, name)
    if route == _CREATE_MODEL:
        return None
    if route == _CREATE_VERSION:
        tags = body.get("tags") or []
        return _refuse_birth(name, {str(tag.get("key")): str(tag.get("value")) for tag in tags})
    if route in _ALIASES and body.get("alias") == "challenger":
        return None
    return None if _may_manage(name) else _ONLY_A_PROMOTER


def _refuse_birth(name: str, tags: dict[str, str]) -> str | None:
    """A version is registered as pending and undecided, whoever registers it."""
    decided = [key for key in tags if key.strip().lower().startswith(_DECISION_TAGS)]
    if decided or tags.get(_STATUS, _PENDING) != _PENDING:
        return (
            f"a version of {name} must be registered as {_PENDING}: {(decided or [_STATUS])[0]} follows from a decision"
        )
    return None


def _refuse_on_log(route: str, name: str) -> str | None:
    if route == _CREATE_MODEL:
        return None if _may_manage(name.rpartition("-")[0]) else _ONLY_A_PROMOTER
    return None if route == _CREATE_VERSION else f"{name} is a log, to which entries may only be added"


def _may_manage(name: str) -> bool:
    return bool(auth._get_registered_model_or_prompt_permission(name).can_manage)
