"""Pictures from the web, of which the rights are known."""
