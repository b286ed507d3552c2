"""What raw rows must be like: Great Expectations' rules, the quarantine and the gate.

In: RawRows and the YAML's rules. Out: ValidationReport, with the rows that passed and those set aside.
`validate` does it all. Open row_validation.py first, then checks/ (rules on DuckDB), proposal/ (rules that
rows keep) and review/ (what people decide about rows in quarantine.py).
"""

from typing import TYPE_CHECKING

from infra.imports import lazy

if TYPE_CHECKING:
    from tasks.validation.row_validation import validate
else:
    __getattr__ = lazy("tasks.validation.row_validation:validate")
__all__ = ["validate"]
