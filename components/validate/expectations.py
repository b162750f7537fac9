"""The only module that uses Great Expectations: it takes rules, and returns a judgement of each measured table.

A table of measurements becomes a pandas asset of an ephemeral context, the rules about it a suite, and a checkpoint
runs the suite. Nothing is stored by it and nothing is sent: what it found comes back as plain values.
"""

import logging
import os
import warnings
from dataclasses import dataclass
from typing import Any

import pandas as pd

from components.validate.config import ValidatePolicy
from components.validate.measured import Line, Measured
from components.validate.suite import Between, Check, Distinct, Empty, Filled, Rule

_SHOWN = 20  # lines of a table that are handed back for one failed expectation


@dataclass(frozen=True)
class Judgement:
    success: bool
    expectation: str  # the type, in the words of Great Expectations
    limits: dict[str, Any]
    checked: int
    unexpected: int  # lines of the table
    lines: list[Line]  # some of the unexpected ones: the value, and the line's name


def judge(rules: tuple[Rule, ...], measured: Measured, policy: ValidatePolicy) -> tuple[dict[str, Judgement], str]:
    """One judgement a rule, and the version of Great Expectations that made them."""
    gx = _import()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("measured")
    judgements: dict[str, Judgement] = {}
    for table in dict.fromkeys(rule.table for rule in rules):
        about = tuple(rule for rule in rules if rule.table == table)
        judgements |= _judge_table(gx, context, source, measured.tables[table], measured.keys[table], about, policy)
    return judgements, str(gx.__version__)


def _import() -> Any:
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # hundreds of lines about its own registry
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read while it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports sre_constants
        import great_expectations
        import great_expectations.expectations
    return great_expectations


def _judge_table(
    gx: Any, context: Any, source: Any, frame: pd.DataFrame, key: str, rules: tuple[Rule, ...], policy: ValidatePolicy
) -> dict[str, Judgement]:
    name = rules[0].table
    suite = gx.ExpectationSuite(
        name=name,
        expectations=[_expectation(gx.expectations, rule, policy) for rule in rules],
        meta={"rules": [rule.name for rule in rules]},
    )
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
    )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [key],
                "return_unexpected_index_query": False,
            },
        )
    )
    run = checkpoint.run(batch_parameters={"dataframe": frame})
    (found,) = run.run_results.values()
    return {result.expectation_config.meta["rule"]: _judgement(result, key) for result in found.results}


def _expectation(expectations: Any, rule: Rule, policy: ValidatePolicy) -> Any:
    words = {"meta": {"rule": rule.name}, "description": rule.what, "notes": rule.why}
    check: Check = rule.check
    if isinstance(check, Between):
        return expectations.ExpectColumnValuesToBeBetween(
            column=check.column,
            min_value=policy.limit(check.low),
            max_value=policy.limit(check.high),
            mostly=policy.limit(check.mostly),
            **words,
        )
    if isinstance(check, Filled):
        return expectations.ExpectColumnValuesToMatchRegex(
            column=check.column, regex=r"\S", mostly=policy.limit(check.mostly), **words
        )
    if isinstance(check, Empty):
        return expectations.ExpectColumnValuesToBeInSet(
            column=check.column, value_set=[""], mostly=policy.limit(check.mostly), **words
        )
    assert isinstance(check, Distinct)
    return expectations.ExpectColumnValuesToBeUnique(column=check.column, **words)


def _judgement(result: Any, key: str) -> Judgement:
    config, values = result.expectation_config, result.result
    if cause := _raised(result.exception_info):
        # A rule that cannot be computed is a mistake in the suite, never a finding about the data.
        raise RuntimeError(f"{config.meta['rule']}: {cause}")
    column = config.kwargs["column"]
    lines = values.get("unexpected_index_list") or []
    return Judgement(
        success=bool(result.success),
        expectation=config.type,
        limits={k: v for k, v in config.kwargs.items() if k in ("min_value", "max_value", "mostly", "regex")},
        checked=int(values.get("element_count", 0)),
        unexpected=int(values.get("unexpected_count", 0)),
        lines=[{key: _plain(line[key]), "value": _plain(line.get(column, line[key]))} for line in lines[:_SHOWN]],
    )


def _raised(info: dict[str, Any]) -> str | None:
    """Great Expectations gives one report about the expectation, or one for each number that it needs."""
    reports = [info] if "raised_exception" in info else list(info.values())
    return next((str(report["exception_message"]) for report in reports if report["raised_exception"]), None)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
