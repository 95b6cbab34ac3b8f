"""Figures: the pictures and tables of the report."""
