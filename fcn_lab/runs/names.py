"""Names in a run's folder that several modules use: of its files, and of the monitored score."""

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
# the folder of the attempts at a run, a file each
ATTEMPTS = "attempts"
# a file in the folder of a W&B run that its server did not take completely
UNSENT = "unsent"
# the output of a worker of a sweep
LOG = "log.txt"
# a sweep's own files, and its copies of the sources, beside the folders of its cells
SWEEP_RECORD, SWEEP_RESULTS, SWEEP_CODE = "sweep.json", "results.csv", "code"
# the folder of the earlier stages of a run that was trained in stages
STAGES = "stages"
LAST_CHECKPOINT, BEST_CHECKPOINT = f"{CHECKPOINTS}/last.ckpt", f"{CHECKPOINTS}/best.ckpt"
# the score that chooses the best epoch; searches and dashboards use it, too
MONITOR = "val/mean_iou"
# the groups that choose a network, whose words have a key of their own in a config
NETWORK_WORDS = ("model", "upsample", "encoder")
# the key of a config that says how long a run trains
EPOCHS = "trainer.max_epochs"
