"""Tag sampled frames and crops with a model."""
