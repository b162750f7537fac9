"""The pipeline that gives the champion new items: they are scored at once, without a training.

1. ingest          checks out exactly one revision of the data and records where it came from
2. fetch-champion  fetches the model in service
3. refresh-items   encodes what is new or changed as the champion does, and publishes it
4. notify          the exit handler, which runs however the others ended
"""

from kfp import dsl

from components import ops

NAME = "mmctr-items"


@dsl.pipeline(name=NAME, description="Gives the model in service new items without a training.")
def items_pipeline(config: str, repository: str, revision: str, folder: str, workspace: str) -> None:
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
        # After ingest, which opens the MLflow run: two first steps at once could open two.
        champion = ops.fetch_champion(config=config, pipeline_run=run).after(ingest).output
        ops.refresh_items(
            config=config,
            pipeline_run=run,
            workspace=workspace,
            dataset=ingest.outputs["dataset"],
            images=ingest.outputs["images"],
            champion=champion,
        )
