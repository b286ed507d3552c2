"""Model versions in memory: which answer, how their graphs are run, and what becomes of them.

Open `model.py` first: one version, with a queue (`fair_queue.py`) in front of its graph (`session.py`).
`routing.py` follows the release manifests, `memory.py` lets graphs leave that nobody asks, `mirror.py` asks a
challenger too.
"""
