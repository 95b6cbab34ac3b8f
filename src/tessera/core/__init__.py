"""Errors, settings, ledgers, jobs, digests, weights and environments of tools: the basis of all other packages."""
