"""A released model as a folder that answers elsewhere.

On a web page, in Node.js, from a C program, or in another server.

A bundle comes in, a folder goes out that needs no Gyre: the same graph, and what runs it there. Begin with
targets.py (page and program) and server_targets.py (ONNX, Docker, MLflow, Triton, KServe); npm_runtime.py
fetches the runtime for browsers, and trial.py holds what an exported program answers against ONNX Runtime's
own answers here.
"""
