"""The model server over gRPC: the same core, rules and limits as over REST, on a port of its own.

open_inference.proto is the published protocol; open_inference_pb2.py and .pyi are generated from it (`make
grpc`). messages.py makes requests of messages and messages of answers; service.py says which call does what,
and who may; listener.py opens the port, with the standard services for health and reflection beside.

Where it is on purpose not as Triton's documentation has it, beside what rest/__init__.py lists:

- Outputs come as raw bytes where inputs came so, and as typed contents where inputs came so; Triton's are
always raw.
- A stream answers one request after another, each with one answer. Shared memory, tracing and log settings
are UNIMPLEMENTED.
- `notices` of an answer are one text, a line each, since a parameter cannot be a list.
- Labels are told over REST alone.
"""
