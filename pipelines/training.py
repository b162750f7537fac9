"""The training pipeline: new data in, a reviewed candidate out.

1. ingest          exactly one revision of the data, with its lineage
2. fetch-champion  the model that all comparisons refer to
3. validate        stops on data that would ruin a model
4. decide          whether there is anything to learn; by hand always, on a schedule when it asks
5. encode-shard    titles and covers to vectors, cached by content, shards side by side
6. embed           one table of them, projected
7. train           the ranker, resumable
8. evaluate        candidate and champion on the same rows
9. gate            metrics against the policy, and the report
10. register       only when the gate passed: alias challenger, pending review
11. notify         exit handler, always
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
    with dsl.ExitHandler(ops.notify(config=config, pipeline_run=run), name="road"):
        ingest = ops.ingest(
            config=config,
            pipeline_run=run,
            repository=repository,
            revision=revision,
            folder=folder,
            workspace=workspace,
        )
        dataset = ingest.output
        # After ingest, which opens the MLflow run: two first steps at once could open two.
        champion = ops.fetch_champion(config=config, pipeline_run=run).after(ingest).output
        validation = ops.validate(config=config, pipeline_run=run, dataset=dataset, champion=champion).output
        made = {"dataset": dataset, "validation": validation}
        decide = ops.decide(
            config=config,
            pipeline_run=run,
            skip_unchanged=skip_unchanged,
            retrain_above_drift=retrain_above_drift,
            champion=champion,
            **made,
        )
        with dsl.If(decide.outputs["Output"] == True, name="stale"):  # noqa: E712 (kfp compares, not Python)
            with dsl.ParallelFor(items=shards, name="shards") as shard:
                encoded = ops.encode_shard(
                    config=config, pipeline_run=run, workspace=workspace, shard=shard, dataset=dataset
                )
            embed = ops.embed(
                config=config,
                pipeline_run=run,
                workspace=workspace,
                reports=dsl.Collected(encoded.outputs["Output"]),
                dataset=dataset,
                champion=champion,
            )
            made |= {"embeddings": embed.output}
            training = ops.train(config=config, pipeline_run=run, workspace=workspace, **made).output
            made |= {"training": training, "champion": champion}
            evaluation = ops.evaluate(config=config, pipeline_run=run, **made).output
            made |= {"evaluation": evaluation}
            gate = ops.gate(config=config, pipeline_run=run, **made)
            with dsl.If(gate.outputs["Output"] == True, name="passed"):  # noqa: E712
                ops.register(config=config, pipeline_run=run, decision=gate.outputs["decision"], **made)
