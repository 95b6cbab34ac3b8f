"""Queues of the review page: each module finds the items of one kind, and says how much a decision on each is worth."""
