"""What the path from footage to models does without: a package each."""
