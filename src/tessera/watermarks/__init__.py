"""Watermarks: sets of labelled images that others made, and marks drawn over frames."""
