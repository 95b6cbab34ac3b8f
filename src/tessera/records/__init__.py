"""What rooms meet in: tables, and what people write."""
