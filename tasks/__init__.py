"""How: one package a stage of the loop; plain Python cores, thin Prefect wrappers in each `task.py`."""
