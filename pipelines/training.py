"""The training pipeline: new data in, a reviewed candidate out.

1. ingest          exactly one revision of the data, with its lineage
2. fetch-champion  the model that all comparisons refer to
3. validate        stops on data that would ruin a model
4. decide          whether there is anything to learn; by hand always, on a schedule when it asks
5. embed           titles and covers to vectors, cached by content
6. train           the ranker, resumable
7. evaluate        candidate and champion on the same rows
8. gate            metrics against the policy, and the report
9. register        only when the gate passed: alias challenger, pending review
10. notify         exit handler, always
"""

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
            embed = ops.embed(config=config, pipeline_run=run, workspace=workspace, dataset=dataset, champion=champion)
            made |= {"embeddings": embed.output}
            training = ops.train(config=config, pipeline_run=run, workspace=workspace, **made).output
            made |= {"training": training, "champion": champion}
            evaluation = ops.evaluate(config=config, pipeline_run=run, **made).output
            made |= {"evaluation": evaluation}
            gate = ops.gate(config=config, pipeline_run=run, **made)
            with dsl.If(gate.outputs["Output"] == True, name="passed"):  # noqa: E712
                ops.register(config=config, pipeline_run=run, decision=gate.outputs["decision"], **made)
