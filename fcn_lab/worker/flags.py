"""The flags behind the config's name that a worker is started with, and those of the preflight."""

RESUME_FLAG = "--resume"
CELL_FLAG = "--cell"
# flags with a value
FRESH_FLAG = "--fresh="
PARENT_FLAG = "--parent="
EPOCHS_FLAG = "--epochs="
# flags of the preflight, the second with a value
ELSEWHERE_FLAG = "--elsewhere"
ESTIMATE_FLAG = "--estimate="
