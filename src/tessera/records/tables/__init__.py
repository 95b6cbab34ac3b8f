"""The tables that rooms meet in: one schema each, every column with its meaning and unit."""
