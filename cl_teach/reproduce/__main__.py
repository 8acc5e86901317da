"""``python -m cl_teach.reproduce TABLE``, see command.py: processes that are spawned find nothing that stands in this file."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())
