"""What the model server puts on the disk: predictions, and late labels of rows that the log holds.

`production_log.py` is what answers call, `journal.py` writes many lines at a time, `known.py` tells which
requests were logged.
"""
