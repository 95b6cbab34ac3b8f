"""The restoration model: trained, measured, exported and checked."""
