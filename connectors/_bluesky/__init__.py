"""Pieces of the connector `bluesky`."""
