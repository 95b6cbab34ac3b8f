"""Image sets: captioned, balanced sets of frames and crops for the training of generative models."""
