"""KFP's published v2beta1 API as a judge of JSON: the types, enums and names of `kfp_server_api`'s generated models.

The models themselves drop what they do not know; here an unknown key is refused, as it must be for a test to prove that
a request says what it means to.
"""

import re
from datetime import datetime
from typing import Any

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as ir


class ContractError(Exception):
    """The request breaks the published API."""


def check(model: str, value: Any, where: str = "body") -> None:
    """Refuses what the model of that name can't hold."""
    kind = getattr(kfp_server_api, model)
    if hasattr(kind, "allowable_values"):
        if value not in kind.allowable_values:
            raise ContractError(f"{where} = {value!r}: must be one of {', '.join(kind.allowable_values)}")
        return
    if not isinstance(value, dict):
        raise ContractError(f"{where}: must be an object")
    types = {kind.attribute_map[name]: declared for name, declared in kind.openapi_types.items()}
    for key, item in value.items():
        if key not in types:
            raise ContractError(f"{where}.{key}: unknown; {model} has {', '.join(types)}")
        _check_type(types[key], item, f"{where}.{key}")


def _check_type(declared: str, value: Any, where: str) -> None:
    scalars: dict[str, tuple[type, ...]] = {"str": (str,), "bool": (bool,), "float": (float, int), "int": (int,)}
    if declared == "object":
        return
    if declared == "datetime":
        try:
            datetime.fromisoformat(str(value))
        except ValueError:
            raise ContractError(f"{where} = {value!r}: must be an RFC 3339 time") from None
    elif declared in scalars:
        # Protobuf's JSON writes 64-bit whole numbers as texts, and reads both.
        whole = declared == "str" and where.endswith("max_concurrency") and isinstance(value, int)
        if not whole and (not isinstance(value, scalars[declared]) or (declared == "int" and isinstance(value, bool))):
            raise ContractError(f"{where} = {value!r}: must be of type {declared}")
    elif found := re.match(r"list\[(.*)\]$", declared):
        if not isinstance(value, list):
            raise ContractError(f"{where}: must be a list")
        for index, item in enumerate(value):
            _check_type(found[1], item, f"{where}[{index}]")
    elif found := re.match(r"dict\(str, (.*)\)$", declared):
        if not isinstance(value, dict):
            raise ContractError(f"{where}: must be an object")
        for key, item in value.items():
            _check_type(found[1], item, f"{where}.{key}")
    else:
        check(declared, value, where)


def pipeline_of(text: str) -> ir.PipelineSpec:
    """Reads an uploaded pipeline; a field that the protocol does not know is refused."""
    documents = list(yaml.load_all(text, yaml.CSafeLoader))
    if not 1 <= len(documents) <= 2:
        raise ContractError(
            f"a pipeline is one document, or two with platform settings; this file has {len(documents)}"
        )
    try:
        for document, message in zip(documents, (ir.PipelineSpec(), ir.PlatformSpec()), strict=False):
            json_format.ParseDict(document, message)
        return json_format.ParseDict(documents[0], ir.PipelineSpec())
    except json_format.ParseError as error:
        raise ContractError(f"not a pipeline: {error}") from None


def check_parameters(spec: ir.PipelineSpec, parameters: dict[str, Any]) -> None:
    """A run must give every parameter without a default, none that is unknown, and each of the declared type."""
    kinds: dict[str, Any] = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool}
    declared = spec.root.input_definitions.parameters
    for name, value in parameters.items():
        if name not in declared:
            raise ContractError(f"parameter {name!r} is unknown to the pipeline")
        kind = ir.ParameterType.ParameterTypeEnum.Name(declared[name].parameter_type)
        if not isinstance(value, kinds.get(kind, object)):
            raise ContractError(f"parameter {name!r} = {value!r}: must be {kind}")
    for name, parameter in sorted(declared.items()):
        if name not in parameters and not parameter.is_optional and not parameter.HasField("default_value"):
            raise ContractError(f"parameter {name!r} is missing")


def check_cron(cron: str) -> None:
    """Six fields, seconds first. The server lets the last one be left out, which turns five fields into nonsense."""
    fields = cron.split()
    if not cron.startswith("@") and len(fields) != 6:
        raise ContractError(f"cron {cron!r}: expected 6 fields, found {len(fields)}")
