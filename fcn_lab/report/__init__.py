"""Reads run folders and says what they show; knows nothing of training."""
