"""What rule files compute from the settings, the manifest and the decisions, before any job starts."""
