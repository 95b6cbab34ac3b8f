"""Cards: what a dataset or a model is, for those who use it."""
