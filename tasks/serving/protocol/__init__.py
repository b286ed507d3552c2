"""What a request asks for and what an answer holds, whichever way it travels.

What cannot be taken is a Refusal.

`inference.py` has the whole request and answer, `tensors.py` and `raw_tensors.py` their arrays as JSON and as
bytes, `classification.py` answers as classes, `labels.py` late labels, `notices.py` what an answer says about
its rows, `model_facts.py` what a model tells of itself.
"""
