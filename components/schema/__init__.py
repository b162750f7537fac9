"""Which features rows and items have: declared in features.yaml, fitted on train, encoded alike in every place."""
