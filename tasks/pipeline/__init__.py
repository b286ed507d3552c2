"""What every stage's Prefect task shares.

stage.py is the decorator: cache key, outcome folder, refusal, artifacts. code/ says what code and which
libraries an outcome depends on, and findings/ what a run dropped, guessed or changed, and what the YAML's
`checks` do about it.
"""
