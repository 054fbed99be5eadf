"""``python -m fcn_lab`` is the console script ``fcn-lab``."""

from fcn_lab.cli.main import main

main()
