"""Vectors of frames, labelled images and clips, and the near-duplicates that they show."""
