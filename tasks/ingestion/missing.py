"""Texts that people write where there is no value."""

MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "nan", "NaN", "NAN", "-", "--", ".", "(null)", "unknown", "Unknown")
SURELY_MISSING = ("", "?", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "nan", "(null)")
"""Also among words; NA may be Namibia, None an answer."""
