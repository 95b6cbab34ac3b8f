"""Classifiers of pictures: trained, calibrated, measured, explained and exported."""
