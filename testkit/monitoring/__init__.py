"""What the tests of the alerts stand on."""
