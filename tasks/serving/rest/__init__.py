"""The model server over HTTP: bytes of requests in, bytes of answers out.

The core is tasks/serving/model_server.py.

application.py says which path does what, bodies.py reads and inflates what arrives, messages.py makes
requests of JSON with or without binary tensors behind it, and answers likewise.

Where it is on purpose not as Triton's documentation has it:

- Parameters that mean nothing here are refused and named; Triton passes over those of a request that it does
not know.
- `priority` is 1 to 3, and 1 needs the installation's credential; `timeout` counts until the answer, not only
in
  the queue. Sequences, shared memory, raw binary requests (without JSON), tracing and log settings are not
  there.
- A model answers `answer` too, its first output in words, and `parameters.notices`: what was odd about the
rows.
- Numbers that are infinite are refused; a missing one is null in JSON and NaN in bytes. Texts are UTF-8.
- Models are not unloaded by request, and a load looks for what was released: releases decide what serves.
- Values of one a row have the shape [rows], in metadata and configuration too; [rows, 1] is taken as well.
"""
