"""Names that other code looks for in a run's folder: its files, and the score that is monitored."""

METRICS = "metrics.json"
HISTORY = "history.csv"
CHECKPOINTS = "checkpoints"
PANELS = "panels"
CONFUSIONS = "confusions.npz"
LAST_CHECKPOINT = f"{CHECKPOINTS}/last.ckpt"
# chooses the best epoch; searches and dashboards look at it too
MONITOR = "val/mean_iou"
# the key of a config that says how long a run trains
EPOCHS = "trainer.max_epochs"
