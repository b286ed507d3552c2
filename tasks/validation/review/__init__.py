"""What people decide about rows in quarantine: release, fix, undo.

decisions.py is the append-only log, review.py lists rows and decides about them, amendments.py applies
decisions to the rows of the next run.
"""
