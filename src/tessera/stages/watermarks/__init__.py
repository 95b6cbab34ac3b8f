"""Images with watermarks: imported sets, and marks drawn over frames."""
