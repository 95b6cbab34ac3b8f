"""Images with watermarks: sets that others labelled, and marks drawn over frames."""
