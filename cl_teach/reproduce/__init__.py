"""Published tables, reproduced: ``python -m cl_teach.reproduce TABLE``. One file a table has what the paper and its code do."""

from __future__ import annotations

from . import adam_forms, hsu_2018, kirkpatrick_2017, van_de_ven_2025
from .shared_work import RESULTS, read, work
from .table import Compared, Key, Published, Row, Table, compare

TABLES: dict[str, Table] = {
    table.name: table for table in (van_de_ven_2025.TABLE, hsu_2018.TABLE, kirkpatrick_2017.FIGURE_2A, adam_forms.TABLE)
}

__all__ = ["RESULTS", "TABLES", "Compared", "Key", "Published", "Row", "Table", "compare", "read", "work"]
