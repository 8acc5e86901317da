"""A course of three small notebooks for the tests of its pages: one moves, one fails, one has nothing to move."""

from pathlib import Path

import nbformat

from cl_teach.figures import Picture, canvas

DRAW = """from cl_teach.figures import Picture, canvas


def draw(strength, method="L2"):
    figure, (axis,) = canvas(width=2, height=1)
    axis.plot([0, strength], [0, len(method)])
    return Picture(figure, f"{method} at {strength}")"""

CELLS = {
    "set-up": "import os\nimport time\nimport cl_teach as cl\nprint('ran in', os.path.basename(os.getcwd()), flush=True)\n"
    "time.sleep(1)\nprint('and on')",
    "draw": DRAW,
    "explorer": "controls = {'λ': [0, 0.1, 1e6], 'method': ['L2', 'EWC']}\n"
    "cl.widgets.Explorer(draw, controls, start={'λ': 0.1}, play='λ')",
    "still": "draw(2)",
    "guess": "guess = cl.widgets.Prediction('accuracy on A')\nguess",
}
VALUES = ([0, 0.1, 1e6], ["L2", "EWC"])


def draw(strength: float, method: str = "L2") -> Picture:
    """What the explorer shows."""
    figure, (axis,) = canvas(width=2, height=1)
    axis.plot([0, strength], [0, len(method)])
    return Picture(figure, f"{method} at {strength}")


def write_notebooks(folder: Path) -> Path:
    """A folder with the notebooks, beside a README with a table."""
    notebooks = folder / "notebooks"
    (notebooks / "solutions").mkdir(parents=True)
    text, code, stored = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell, nbformat.v4.new_output
    intro = "# 1. Tiny\n\nThe loss $L_B(\\theta)$ of [3](03_still.ipynb) in this one; [symbols](README.md#5-symbols).\n\n"
    intro += "$$ L_B + \\frac{\\lambda}{2} \\sum_i F_i \\,(\\theta_i - \\theta_{A,i})^2 $$"
    old = [stored("stream", text="stored before\n")]
    write(notebooks / "01_tiny.ipynb", text(intro), *[code(source, id=name, outputs=old) for name, source in CELLS.items()])
    write(notebooks / "02_broken.ipynb", text("# 2. Broken"), code("1 / 0  # cl.widgets.", id="a-bad-cell"), code("x = 1"))
    write(notebooks / "03_still.ipynb", text("# 3. Still"), code("print('now')", outputs=[stored("stream", text="stored\n")]))
    write(notebooks / "solutions" / "01_tiny.ipynb", text("# Solutions 1\n\nTo the [lesson](../01_tiny.ipynb)."))
    (notebooks / "README.md").write_text("# For teachers\n\n## 5. Symbols\n\nLesson [1](01_tiny.ipynb).\n", encoding="utf-8")
    table = "| what | see | read | run |\n|---|---|---|---|\n| [1. T](notebooks/01_tiny.ipynb) | a slider | 1 min | 2 s |\n"
    (folder / "README.md").write_text(table, encoding="utf-8")
    return notebooks


def write(path: Path, *cells: nbformat.NotebookNode) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
