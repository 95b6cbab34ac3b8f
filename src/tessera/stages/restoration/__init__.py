"""Train, evaluate, export and verify the restoration model."""
