"""Samples keep in this environment, with its own NumPy and OpenCV, all that they promise in the other one."""

from test_restoration_clips import *  # noqa: F403
from test_restoration_samples import *  # noqa: F403
