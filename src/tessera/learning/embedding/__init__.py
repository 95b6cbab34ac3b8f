"""Embeddings: vectors of pictures that are close to each other for pictures that look alike."""
