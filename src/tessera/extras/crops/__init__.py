"""Crops: cut persons, half bodies and heads out of the sampled frames."""
