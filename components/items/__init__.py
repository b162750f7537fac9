"""New items for the version in service, without a training: they are scored from their features and their content."""
