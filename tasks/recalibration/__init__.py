"""A new threshold for a model version, without a training."""
