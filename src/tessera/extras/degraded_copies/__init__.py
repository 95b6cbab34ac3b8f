"""Pictures for classifiers: clean frames, and copies of them that were degraded to stated levels."""
