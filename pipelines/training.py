"""The training pipeline: new data in, a reviewed candidate out.

1. ingest          checks out exactly one revision of the data and records where it came from
2. fetch-champion  fetches the model in service, which all comparisons of this run refer to
3. validate        stops the run when the data would ruin a model
4. decide          whether to train: a run started by hand always trains; a scheduled run may train only after a change
5. encode-shard    encodes titles and covers as vectors, cached by their content; several shards at the same time
6. embed           joins the vectors in one table and projects them
7. train           trains the ranker, from scratch or from the champion; goes on from its last checkpoint after a kill
8. evaluate        measures candidate and champion on the same rows
9. gate            checks the metrics by the policy and writes the report
10. register       only when the gate passed: registers the candidate as challenger, which waits for a review
11. notify         the exit handler, which runs however the others ended
"""

from typing import List

from kfp import dsl

from components import ops

NAME = "mmctr-training"


@dsl.pipeline(name=NAME, description="Keeps a multimodal click-through-rate model fresh.")
def training_pipeline(
    config: str,
    repository: str,
    revision: str,
    folder: str,
    workspace: str,
    shards: List[int] = [0],  # noqa: B006 (kfp reads the default; every one of config.embed.shards, from 0)
    skip_unchanged: bool = False,
    retrain_above_drift: float = 0.0,
) -> None:
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    with dsl.ExitHandler(ops.notify(config=config, pipeline_run=run), name="steps"):
        ingest = ops.ingest(
            config=config,
            pipeline_run=run,
            repository=repository,
            revision=revision,
            folder=folder,
            workspace=workspace,
        )
        dataset, images, lineage = (ingest.outputs[name] for name in ("dataset", "images", "lineage"))
        # After ingest, which opens the MLflow run: two first steps at once could open two.
        champion = ops.fetch_champion(config=config, pipeline_run=run).after(ingest).output
        validation = ops.validate(
            config=config, pipeline_run=run, workspace=workspace, dataset=dataset, images=images, champion=champion
        ).output
        decide = ops.decide(
            config=config,
            pipeline_run=run,
            skip_unchanged=skip_unchanged,
            retrain_above_drift=retrain_above_drift,
            lineage=lineage,
            validation=validation,
            champion=champion,
        )
        with dsl.If(decide.outputs["Output"] == True, name="stale"):  # noqa: E712 (kfp compares, not Python)
            with dsl.ParallelFor(items=shards, name="shards") as shard:
                encoded = ops.encode_shard(
                    config=config, pipeline_run=run, workspace=workspace, shard=shard, dataset=dataset, images=images
                )
            embed = ops.embed(
                config=config,
                pipeline_run=run,
                workspace=workspace,
                reports=dsl.Collected(encoded.outputs["Output"]),
                dataset=dataset,
                images=images,
                champion=champion,
            )
            made = {"validation": validation, "embeddings": embed.output, "champion": champion}
            training = ops.train(config=config, pipeline_run=run, workspace=workspace, dataset=dataset, **made).output
            made |= {"training": training}
            evaluation = ops.evaluate(config=config, pipeline_run=run, dataset=dataset, **made).output
            made |= {"evaluation": evaluation, "lineage": lineage}
            gate = ops.gate(config=config, pipeline_run=run, **made)
            with dsl.If(gate.outputs["Output"] == True, name="passed"):  # noqa: E712
                ops.register(config=config, pipeline_run=run, decision=gate.outputs["decision"], **made)
