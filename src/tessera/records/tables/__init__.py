"""The tables that rooms exchange: one schema each, which describes every column with its unit."""
