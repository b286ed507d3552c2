"""A released model as a folder that answers elsewhere: on a web page, in Node.js, or from a C program.

A bundle comes in, a folder goes out that needs neither Gyre nor a server: the same graph, the runtime that runs it
there, and a small program around both. Begin with targets.py; npm_runtime.py fetches the runtime for browsers,
and trial.py has the exported program answer made-up rows, which must be what ONNX Runtime says here.
"""
