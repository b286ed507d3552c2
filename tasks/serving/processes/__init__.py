"""Several processes that serve one port as one server.

`supervisor.py` is their parent, `place.py` what each knows of itself, `board.py` the memory in which they
tell each other their counts (`counts.py`).
"""
