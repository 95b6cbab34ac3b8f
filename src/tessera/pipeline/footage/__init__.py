"""Footage: sources are admitted, frames sampled, duplicates found."""
