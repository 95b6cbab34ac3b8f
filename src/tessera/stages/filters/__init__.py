"""Select the clips of the dataset."""
