"""The whole configuration: the settings of all rooms, validated before any job starts."""
