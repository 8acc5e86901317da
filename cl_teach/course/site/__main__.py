"""The command: ``python -m cl_teach.course.site site/``, from a clone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the site, and say what went wrong. The exit status: 0, or 1 if a page could not be made, or 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m cl_teach.course.site", description="The course as pages without a kernel.")
    parser.add_argument("folder", help="where to write it, such as site/")
    parser.add_argument("lessons", nargs="*", help="only these, such as 05; all if none is named")
    parser.add_argument("--notebooks", default="notebooks", metavar="FOLDER", help="where the lessons are (notebooks)")
    chosen = parser.parse_intermixed_args(arguments)
    if missing := [name for name in ("nbconvert", "nbclient", "ipykernel") if find_spec(name) is None]:
        parser.error(f'pages need {" and ".join(missing)}, which JupyterLab brings: python -m pip install -e ".[lab]"')
    from .build import build

    try:
        wrong = build(chosen.folder, chosen.notebooks, chosen.lessons)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("interrupted; the pages that are written stay, and the same command goes on from there", file=sys.stderr)
        return 130
    for line in wrong:
        print(f"not made: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
