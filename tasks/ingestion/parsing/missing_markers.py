"""Texts that people write where there is no value."""

MISSING = (
    "",
    "?",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "NULL",
    "null",
    "None",
    "nan",
    "NaN",
    "NAN",
    "-",
    "--",
    ".",
    "(null)",
    "unknown",
    "Unknown",
)
SURELY_MISSING = ("", "?", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "nan", "(null)")
"""Also among words; NA may be Namibia, None an answer."""

DOUBTFUL = ("None", "none", "unknown", "Unknown", "UNKNOWN", "missing", "Missing")
"""Answers in many columns of words, so another column must show that they stand for no value."""
MARKERS = tuple(
    text
    for text in dict.fromkeys(
        (*MISSING, *DOUBTFUL, "na", "n.a.", "N.A.", "#NA", "<NA>", "Null", "nil", "NIL", "..", "---", "??")
    )
    if text
)
"""Usual texts for no value, whoever wrote them."""
