"""Who may move the champion, enforced by the MLflow server itself.

MLflow's basic-auth app knows one permission, EDIT, for making a version and for moving any alias, so a pipeline that
may register could also promote. This function stands before it:

    # the server's auth configuration (MLFLOW_AUTH_CONFIG_PATH)
    authorization_function = components.tracking.roles:authenticate

Give the pipeline's account EDIT on the registered model and promoters MANAGE on it and EDIT on its `-decisions` log.
Then the pipeline registers and sets `challenger`; the champion's aliases, the tags of a version that exists, and the
log are the promoters' alone. The server needs this file in its image, and nothing else of the project.
"""

from typing import Any

from flask import Response, g, make_response, request
from mlflow.server import auth

_PROMOTERS_ALIASES = ("champion", "previous_champion")
_REFUSED = "only a promoter, who has MANAGE on the registered model, may do this"


def authenticate() -> Any:
    """Called by MLflow for each request: the account, or the answer that refuses it."""
    who = auth.authenticate_request_basic_auth()
    if isinstance(who, Response) or "mmctr_role_checked" in g:
        return who
    g.mmctr_role_checked = True  # looking up a permission asks for the account again
    if _is_a_promoters_act() and not _is_promoter(who.username):
        return make_response({"error_code": "PERMISSION_DENIED", "message": _REFUSED}, 403)
    return who


def _is_a_promoters_act() -> bool:
    if request.method == "GET":
        return False
    if request.path.endswith("/mlflow/registered-models/alias"):
        body = request.get_json(silent=True)
        asked = body if isinstance(body, dict) else request.args
        return asked.get("alias") in _PROMOTERS_ALIASES
    return request.path.endswith(("/mlflow/model-versions/set-tag", "/mlflow/model-versions/delete-tag"))


def _is_promoter(username: str) -> bool:
    if auth.store.get_user(username).is_admin:
        return True
    return bool(auth._get_registered_model_or_prompt_permission(auth._get_request_param("name")).can_manage)
