"""Previews: run a detector on footage, draw what it finds, and propose labels."""
