"""Media: decoding, encoding, and images."""
