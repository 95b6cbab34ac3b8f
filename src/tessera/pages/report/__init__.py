"""The figures and pages of the report."""
