"""Pieces of the connector `reddit`."""
