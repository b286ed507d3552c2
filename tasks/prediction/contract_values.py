"""Cells as the source's contract types them, which is how ingestion reads those of training rows.

Apart from row_values.py, since the model server reads a person's rows too, and knows no contract.
"""

import re
from typing import Any

from configs.source import ColumnConfig
from tasks.prediction.row_values import UNREADABLE

DIGITS = re.compile(r"[+-]?\d{1,15}")


def by_contract(cell: Any, contract: ColumnConfig) -> Any:
    """A cell as the source's contract types it, None where it stands for no value.

    UNREADABLE where it does not fit.
    """
    if isinstance(cell, str):
        text = cell.strip()
        if text in contract.missing:
            return None
        if contract.type == "text" and not (contract.prefix or contract.suffix or contract.replace):
            return text
        if contract.type in ("integer", "number") and DIGITS.fullmatch(text):
            return int(text)
    return cell if cell is None else convert_as_ingestion(cell, contract)


def convert_as_ingestion(cell: Any, contract: ColumnConfig) -> Any:
    """As ingestion converts the source's values."""
    import pyarrow as pa

    from tasks.ingestion.parsing.values import from_text, from_typed, is_text, without_missing

    try:
        values = pa.chunked_array([pa.array([cell])])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return UNREADABLE
    given = without_missing(values, contract)
    if given.null_count:
        return None
    made = from_text(given, contract) if is_text(given.type) else from_typed(given, contract.type)
    if made is not None and not made.null_count:
        return made[0].as_py()
    # A date that is written otherwise than the source's may still be ISO 8601, and JSON has no dates at all.
    return cell if contract.type == "timestamp" else UNREADABLE
