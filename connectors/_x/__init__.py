"""Pieces of the connector `x`."""
