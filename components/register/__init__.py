"""From a candidate that passed the gate to a model version that a person can approve."""
