"""Metrics: turn sums over a data set into scores, on the host, in numpy."""
