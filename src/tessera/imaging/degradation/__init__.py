"""Degrade images and clips as compression and editing do before they reach a viewer."""
