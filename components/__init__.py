"""The steps of the pipeline, one room each, and the rooms that they share.

Imports run from the top of this list to the bottom; the contract `floors` in pyproject.toml holds them to it.

    ops.py            the typed Kubeflow contract of every step; the only file here that imports kfp
    harness.py        what every step has in common when it runs: config, output folder, events, the run's record
    review serve      what follows a run: a person's decision; the approved model behind HTTP
    items             scoring new items with the version in service, without a training
    canary            what the request log says of a challenger, and of the features that serving gets
    data_versions     adding a revision of the data, comparing two
    predict           scores of the approved model: whole splits, one user's candidates
    run_config.py     the config of a run: the sum of the steps' sections

    ingest  fetch_champion  validate  decide  embed  train  evaluate  gate  register  notify     the steps, side by side

    report            parts of the HTML pages
    packages          a registered model as a folder: its files, its hash, its scores
    request_log       what was asked of the server and what it answered, in parquet files
    diagnosis         signs that a training went wrong, each with its number, its limit and advice
    batches           rows of a split, batches of ids, the item table, scoring
    tracking          MLflow
    dataset           the data contract: columns, tables, images, lineage, importers, the generated sample
    statistics        what is sure and what is chance
    artifacts.py      the folders that the steps of one run make for each other
    schema            which features rows and items have, and how raw values become codes and numbers
    process           progress events and child processes
    settings.py       how a config is read, overridden and hashed
    storage           files, S3, DVC
    network.py        whether a server listens at an address
    errors.py         errors that a person can act on
"""
