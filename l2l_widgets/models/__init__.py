"""Which models exist, how a set of them is put together, and how they draw."""
