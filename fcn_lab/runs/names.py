"""Names that other code looks for in a run's folder: its files, and the score that is monitored."""

CONFIG = "config.yaml"
ENVIRONMENT = "env.json"
METRICS = "metrics.json"
HISTORY = "history.csv"
CHECKPOINTS = "checkpoints"
GRADIENTS = "gradients.csv"
PANELS = "panels"
PREDICTIONS = "predictions.zip"
CONFUSIONS, VAL_CONFUSIONS = "confusions.npz", "confusions_val.npz"
TRACEBACK = "error.txt"
# in the folder of a W&B run whose server did not take it all
UNSENT = "unsent"
# what a worker of a sweep prints
LOG = "log.txt"
# a sweep's own files, beside the folders of its cells
SWEEP_RECORD, SWEEP_RESULTS = "sweep.json", "results.csv"
# of a run that was trained in stages: the folders of those before the last
STAGES = "stages"
LAST_CHECKPOINT = f"{CHECKPOINTS}/last.ckpt"
# chooses the best epoch; searches and dashboards look at it too
MONITOR = "val/mean_iou"
# the key of a config that says how long a run trains
EPOCHS = "trainer.max_epochs"
