"""Samples keep their promises in this environment too, with its own NumPy and OpenCV."""

from pipeline.restoration.test_samples import *  # noqa: F403
from records.lada.test_clips import *  # noqa: F403
