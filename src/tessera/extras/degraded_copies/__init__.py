"""Pictures of concepts: clean frames, and copies of them that were degraded to stated levels."""
