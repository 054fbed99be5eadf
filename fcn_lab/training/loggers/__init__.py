"""Loggers of a run's scores and pictures: files, TensorBoard, W&B."""
