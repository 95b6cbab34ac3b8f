"""Samples keep in this environment, with its own NumPy and OpenCV, all that they promise in the other one."""

from pipeline.restoration.test_samples import *  # noqa: F403
from records.lada.test_clips import *  # noqa: F403
