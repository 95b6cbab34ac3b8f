"""The layouts of image sets: one module for each trainer or reader. All have a function `write` with the same parameters."""
