"""The model: fitted preprocessing, network and post-processing, as a torch module and as one ONNX graph.

model.py holds the module and its checkpoint, network.py builds the network that the YAML names,
onnx_export.py makes the graph and onnx_session.py runs it.
"""
