"""The course as a folder of pages whose explorers move without a kernel: ``python -m cl_teach.course.site site/``.

``build`` says which pages there are and runs the lessons, ``pages`` makes a page of a notebook, ``explorers`` what moves in it,
``formulas`` its mathematics. ``page.html.j2``, ``page.css`` and ``page.js`` are what every page shares.
"""
