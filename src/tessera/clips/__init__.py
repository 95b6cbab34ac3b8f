"""Clips: what is cut out of footage to train models that restore it."""
