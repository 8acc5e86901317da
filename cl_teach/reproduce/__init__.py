"""Published tables, reproduced: ``python -m cl_teach.reproduce TABLE``. One file a table has what the paper and its code do."""

from __future__ import annotations

from . import adam_forms, avalanche, hsu_2018, kirkpatrick_2017, van_de_ven_2025
from .shared_work import RESULTS, read, work
from .table import Compared, Key, Published, Row, Table, compare

_ALL = (
    van_de_ven_2025.TABLE,
    adam_forms.TABLE,
    hsu_2018.TABLE,
    kirkpatrick_2017.FIGURE_2A,
    kirkpatrick_2017.FIGURE_2B,
    avalanche.TABLE,
)
TABLES: dict[str, Table] = {table.name: table for table in _ALL}

__all__ = ["RESULTS", "TABLES", "Compared", "Key", "Published", "Row", "Table", "compare", "read", "work"]
