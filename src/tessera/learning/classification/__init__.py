"""Classify pictures with trained classifiers."""
