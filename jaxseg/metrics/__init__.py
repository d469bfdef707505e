"""Sums into scores, on the host, in numpy."""
