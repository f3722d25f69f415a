"""Everything dies, freezes and fails while posts stream; see docs/chaos.md."""
