"""Tags: what a tagger sees in sampled frames and in crops."""
