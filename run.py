"""The console script ``fcn-lab`` for a clone: ``python run.py --help`` lists the words."""

from fcn_lab.__main__ import main

if __name__ == "__main__":
    main()
