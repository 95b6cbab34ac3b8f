"""Select the samples of datasets, split them, write them and describe them."""
