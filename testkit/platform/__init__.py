"""A platform of one's own, on loopback: answers by script and misbehaves by script."""
