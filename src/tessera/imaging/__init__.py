"""Functions on images and videos, independent of the stages of the pipeline."""
