"""The review page: what people are asked to decide, and the server that records their decisions."""
