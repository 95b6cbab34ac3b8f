"""Errors, settings, ledgers, jobs, digests, weights and environments: the basis of all other packages."""
