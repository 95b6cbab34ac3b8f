"""Detectors: training, measuring, exporting and asking the YOLO models."""
