"""Training with Lightning: the module, its data and its settings."""
