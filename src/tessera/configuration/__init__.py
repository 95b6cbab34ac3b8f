"""The whole configuration: the settings of all packages, validated before any job starts."""
