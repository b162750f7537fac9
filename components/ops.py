"""The typed contract of every step, for Kubeflow Pipelines.

kfp copies the body of each function into the compiled pipeline, so a body imports what it needs, unwraps the artifacts
and calls. docs/reference/steps.md lists what the folders hold. `pipeline_run` ties all steps to one MLflow run.
`config` is a `RunConfig` as JSON (KFP's own structs turn whole numbers into floats), `workspace` is a folder or s3://
prefix for caches that outlive a run. The images are names that `mmctr compile --env` replaces by digests.
"""

from typing import List

from kfp import dsl

CPU_IMAGE = "mmctr-cpu"
GPU_IMAGE = "mmctr-gpu"


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def ingest(
    config: str,
    pipeline_run: str,
    repository: str,
    revision: str,
    folder: str,
    workspace: str,
    dataset: dsl.Output[dsl.Dataset],
    images: dsl.Output[dsl.Artifact],
    lineage: dsl.Output[dsl.Artifact],
) -> None:
    """Checks out exactly one revision of the data (or takes a folder as it is) and records its lineage."""
    from pathlib import Path

    from components.artifacts import hand_over
    from components.dataset.packing import image_store, take_images_apart
    from components.harness import log_config, step
    from components.ingest.step import ingest as check_out
    from components.ingest.step import ingest_folder
    from components.tracking.inputs import log_data

    with step("ingest", pipeline_run, config, dataset.path) as this:
        log_config(this.run, this.config)
        if folder:
            found = ingest_folder(Path(folder), this.out)
        else:
            found = check_out(repository, revision, this.out, Path(workspace) / "cache" / "data")
        take_images_apart(this.out, Path(images.path), image_store(workspace))
        found.write(Path(lineage.path))
        hand_over(Path(images.path))
        hand_over(Path(lineage.path))
        this.run.set_tags(found.tags())
        log_data(this.run, found)


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def fetch_champion(config: str, pipeline_run: str, champion: dsl.Output[dsl.Model]) -> None:
    """Fetches the champion of this moment: every later comparison, and the approval, refers to it."""
    from components.fetch_champion.step import fetch_champion as fetch
    from components.harness import step

    with step("fetch-champion", pipeline_run, config, champion.path) as this:
        fetch(this.config.registered_name, this.out)


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def validate(
    config: str,
    pipeline_run: str,
    workspace: str,
    dataset: dsl.Input[dsl.Dataset],
    images: dsl.Input[dsl.Artifact],
    champion: dsl.Input[dsl.Model],
    validation: dsl.Output[dsl.Artifact],
) -> None:
    """Checks the data, and stops before anything expensive starts if they would ruin a model."""
    from components.artifacts import receive
    from components.dataset.packing import image_store, with_images
    from components.harness import step
    from components.validate.step import validate as work

    with (
        step("validate", pipeline_run, config, validation.path) as this,
        with_images(receive(dataset.path), receive(images.path), image_store(workspace)) as data,
    ):
        this.record(work(data, receive(champion.path), this.config.validate, this.out))


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def decide(
    config: str,
    pipeline_run: str,
    skip_unchanged: bool,
    retrain_above_drift: float,
    lineage: dsl.Input[dsl.Artifact],
    validation: dsl.Input[dsl.Artifact],
    champion: dsl.Input[dsl.Model],
    freshness: dsl.Output[dsl.Artifact],
) -> bool:
    """Decides whether to train, if a schedule asks for that: is there anything to learn since the champion?"""
    from dataclasses import asdict

    from components.artifacts import Artifacts
    from components.decide.step import FreshnessPolicy, judge
    from components.harness import step
    from components.settings import to_dict
    from components.storage.files import write_json
    from components.tracking.ending import concluded

    with step("decide", pipeline_run, config, freshness.path) as this:
        made = Artifacts.of(lineage=lineage, validation=validation, champion=champion)
        found = judge(made, to_dict(this.config), FreshnessPolicy(skip_unchanged, retrain_above_drift))
        write_json(this.out / "freshness.json", asdict(found))
        ending = {} if found.train else concluded("skipped")
        this.run.set_tags({"mmctr.freshness": "train" if found.train else "skip", "mmctr.why": found.reason, **ending})
    return found.train


@dsl.component(base_image=GPU_IMAGE, install_kfp_package=False)
def encode_shard(
    config: str,
    pipeline_run: str,
    workspace: str,
    shard: int,
    dataset: dsl.Input[dsl.Dataset],
    images: dsl.Input[dsl.Artifact],
    encoded: dsl.Output[dsl.Artifact],
) -> str:
    """Encodes one part of the items into the cache. Shards run at the same time, and one that fails is repeated by
    itself.
    """
    import json

    from components.artifacts import receive
    from components.dataset.packing import image_store, with_images
    from components.embed.step import encode_shard as work
    from components.harness import step

    with (
        step("encode-shard", pipeline_run, config, encoded.path, shard) as this,
        with_images(receive(dataset.path), receive(images.path), image_store(workspace)) as data,
    ):
        cache = f"{workspace}/cache/embeddings"
        report = work(data, this.config.embed, cache, shard, this.config.embed.shards)
    return json.dumps(report)


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def embed(
    config: str,
    pipeline_run: str,
    workspace: str,
    reports: List[str],
    dataset: dsl.Input[dsl.Dataset],
    images: dsl.Input[dsl.Artifact],
    champion: dsl.Input[dsl.Model],
    embeddings: dsl.Output[dsl.Dataset],
) -> None:
    """Assembles one vector an item from what the shards put into the cache."""
    import json

    from components.artifacts import receive
    from components.dataset.packing import image_store, with_images
    from components.embed.step import assemble
    from components.harness import step

    with (
        step("embed", pipeline_run, config, embeddings.path) as this,
        with_images(receive(dataset.path), receive(images.path), image_store(workspace)) as data,
    ):
        cache, done = f"{workspace}/cache/embeddings", [json.loads(report) for report in reports]
        this.record(assemble(data, receive(champion.path), this.config.embed, cache, this.out, done))


@dsl.component(base_image=GPU_IMAGE, install_kfp_package=False)
def train(
    config: str,
    pipeline_run: str,
    workspace: str,
    dataset: dsl.Input[dsl.Dataset],
    validation: dsl.Input[dsl.Artifact],
    embeddings: dsl.Input[dsl.Dataset],
    champion: dsl.Input[dsl.Model],
    training: dsl.Output[dsl.Model],
) -> None:
    """Trains the ranker, from scratch or from the champion. After a kill it continues from its last checkpoint."""
    from pathlib import Path

    from components.artifacts import Artifacts
    from components.harness import step
    from components.tracking.tags import STARTED_FROM
    from components.train.step import train as work

    with step("train", pipeline_run, config, training.path) as this:
        made = Artifacts.of(dataset=dataset, validation=validation, embeddings=embeddings, champion=champion)
        cache = Path(workspace) / "cache" / "training"
        summary = work(made, this.config.recipe, cache, this.out, on_metrics=this.run.log_curve)
        this.record(summary)
        if parent := summary["start"]["parent"]:
            this.run.set_tags({STARTED_FROM: f"{this.config.registered_name}/{parent}"})


@dsl.component(base_image=GPU_IMAGE, install_kfp_package=False)
def evaluate(
    config: str,
    pipeline_run: str,
    dataset: dsl.Input[dsl.Dataset],
    validation: dsl.Input[dsl.Artifact],
    embeddings: dsl.Input[dsl.Dataset],
    training: dsl.Input[dsl.Model],
    champion: dsl.Input[dsl.Model],
    evaluation: dsl.Output[dsl.Artifact],
) -> None:
    """Measures the candidate, and the champion on the same rows."""
    from components.artifacts import Artifacts
    from components.evaluate.step import evaluate as work
    from components.harness import step

    with step("evaluate", pipeline_run, config, evaluation.path) as this:
        made = Artifacts.of(
            dataset=dataset, validation=validation, embeddings=embeddings, training=training, champion=champion
        )
        this.record(work(made, this.config.evaluate, this.config.train.device, this.out))


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def gate(
    config: str,
    pipeline_run: str,
    lineage: dsl.Input[dsl.Artifact],
    validation: dsl.Input[dsl.Artifact],
    embeddings: dsl.Input[dsl.Dataset],
    training: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    champion: dsl.Input[dsl.Model],
    decision: dsl.Output[dsl.Artifact],
) -> bool:
    """Checks the metrics by the policy and writes the report on which a person bases the approval."""
    from components.artifacts import Artifacts
    from components.gate.step import gate as work
    from components.harness import step
    from components.tracking.ending import concluded

    with step("gate", pipeline_run, config, decision.path) as this:
        made = Artifacts.of(
            lineage=lineage,
            validation=validation,
            embeddings=embeddings,
            training=training,
            evaluation=evaluation,
            champion=champion,
        )
        verdict = work(made, this.config.gate, pipeline_run, this.out)
        passed = bool(verdict["passed"])
        this.run.set_tags({"mmctr.gate": "pass" if passed else "fail", **({} if passed else concluded("gate failed"))})
    return passed


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def register(
    config: str,
    pipeline_run: str,
    lineage: dsl.Input[dsl.Artifact],
    validation: dsl.Input[dsl.Artifact],
    embeddings: dsl.Input[dsl.Dataset],
    training: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    decision: dsl.Input[dsl.Artifact],
    champion: dsl.Input[dsl.Model],
    registration: dsl.Output[dsl.Artifact],
) -> None:
    """Makes the candidate a model version with the alias challenger, which waits for a person's review."""
    from components.artifacts import Artifacts
    from components.harness import step
    from components.register.step import register as work
    from components.settings import to_dict
    from components.tracking.ending import concluded

    with step("register", pipeline_run, config, registration.path) as this:
        made = Artifacts.of(
            lineage=lineage,
            validation=validation,
            embeddings=embeddings,
            training=training,
            evaluation=evaluation,
            decision=decision,
            champion=champion,
        )
        work(made, to_dict(this.config), pipeline_run, this.out)
        this.run.set_tags(concluded("registered"))


@dsl.component(base_image=GPU_IMAGE, install_kfp_package=False)
def refresh_items(
    config: str,
    pipeline_run: str,
    workspace: str,
    dataset: dsl.Input[dsl.Dataset],
    images: dsl.Input[dsl.Artifact],
    champion: dsl.Input[dsl.Model],
    refreshed: dsl.Output[dsl.Artifact],
) -> None:
    """Publishes the items that are new or changed for the champion, without a training."""
    from dataclasses import asdict

    from components.artifacts import receive
    from components.dataset.packing import image_store, with_images
    from components.harness import step
    from components.items.refresh import refresh
    from components.storage.files import write_json
    from components.tracking.ending import concluded
    from components.tracking.models import Models
    from components.tracking.tags import STANDING

    with (
        step("refresh-items", pipeline_run, config, refreshed.path) as this,
        with_images(receive(dataset.path), receive(images.path), image_store(workspace)) as data,
    ):
        models, cache = Models(this.run.server, this.config.registered_name), f"{workspace}/cache/embeddings"
        by, note = f"pipeline run {pipeline_run}", "a refresh of the items"
        found = refresh(data, receive(champion.path), models, cache, by, note, this.run)
        write_json(this.out / "refreshed.json", asdict(found))
        this.run.set_tags({STANDING: found.sentence(), **concluded("items refreshed")})


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False)
def notify(config: str, pipeline_run: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """The exit handler: says how the run ended, with the verdict and links, always."""
    from components.harness import parse_config
    from components.notify.step import notify as tell

    tell(parse_config(config).experiment, pipeline_run, status.state)
