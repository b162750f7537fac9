"""`mmctr compile` and `mmctr submit`: the pipeline as a file, and as a run on a cluster."""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cli.options import PolicyOption, PresetOption, SetOption
from pipelines.presets import resolve

ENV_HELP = "An environment of infra/environments (dev, prod), or the path of such a file."
IMAGES_HELP = "The digests that `make images` wrote, instead of the environment's."

EnvOption = Annotated[str, typer.Option("--env", "-e", help=ENV_HELP)]
ImagesOption = Annotated[Path | None, typer.Option(help=IMAGES_HELP)]


def compile_pipeline(
    out: Annotated[Path, typer.Option("--out", "-o", dir_okay=False, help="The YAML file to write.")] = Path(
        "pipeline.yaml"
    ),
    env: Annotated[str | None, typer.Option("--env", "-e", help=ENV_HELP + " None: the bare pipeline.")] = None,
    images: ImagesOption = None,
    pipeline: Annotated[
        Literal["training", "items"], typer.Option(help="Train a new model, or give the champion new items.")
    ] = "training",
) -> None:
    """Write the pipeline as the YAML that Kubeflow Pipelines takes.

    Examples: `mmctr compile -o pipeline.yaml` · `mmctr compile --env prod --images dist/images.json -o prod.yaml` ·
    `mmctr compile --pipeline items -o items.yaml`
    """
    from components.storage.files import atomic_path
    from pipelines import compile as compiler
    from pipelines.environment import load_environment
    from pipelines.items import items_pipeline
    from pipelines.training import training_pipeline

    if images is not None and env is None:
        raise ValueError("--images needs --env: the bare pipeline has no images")
    environment = load_environment(env, images=images) if env else None
    chosen = training_pipeline if pipeline == "training" else items_pipeline
    text = compiler.compile_pipeline(chosen, environment)
    with atomic_path(out) as scratch:
        scratch.write_text(text)
    print(f"{out}: {'the bare pipeline' if environment is None else f'the pipeline for {environment.name}'}")


def submit(
    env: EnvOption = "dev",
    preset_name: PresetOption = "sample",
    overrides: SetOption = None,
    policy: PolicyOption = None,
    revision: Annotated[str | None, typer.Option(help="Commit, tag or branch of the data repository.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name; giving the same one again finds that run, not a second.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run; exit 0 only if it succeeds.")] = False,
    images: ImagesOption = None,
) -> None:
    """Run the pipeline on a Kubeflow cluster.

    Examples: `mmctr submit --env dev --wait` · `mmctr submit --env prod --preset best --name release-7 --wait`
    """
    from pipelines import submit as submission
    from pipelines.environment import load_environment
    from pipelines.kubeflow import Kubeflow
    from pipelines.training import training_pipeline

    environment = load_environment(env, images=images)
    config = resolve(preset_name, overrides, policy)
    values = submission.parameters(training_pipeline, environment, config, revision)
    kubeflow = Kubeflow(environment.service)
    name = name or f"{preset_name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    sent = submission.submit(kubeflow, environment, training_pipeline, values, name)
    print(f"pipeline version {sent.version} ({'uploaded' if sent.new_version else 'there already'})")
    print(f"run {sent.name} ({'started' if sent.new_run else 'there already'}): {sent.link}")
    if not wait:
        return
    state = submission.follow(kubeflow, sent.run_id, _show)
    if state != "SUCCEEDED":
        print(f"the run ended {state}: {submission.failure_of(kubeflow.get_run(sent.run_id))}")
        print(f"see {sent.link}")
        raise SystemExit(1)


def _show(step: str, state: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S}  {step:<24} {state.lower()}", flush=True)
