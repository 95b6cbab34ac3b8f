"""The path from footage to models and restored videos: a package per stage, in the order of the pipeline."""
