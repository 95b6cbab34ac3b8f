"""Checks of settings against those of other sections: one function each, which returns the faults that it finds.

`CHECKS` in `tessera.configuration.read` lists them.
"""
