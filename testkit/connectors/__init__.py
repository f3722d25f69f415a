"""What the contract must know of each platform: one module a connector, under the same name."""
