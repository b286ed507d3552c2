"""From a checkpoint to what is deployed: the one ONNX graph, its measurements, the gate, and the bundle."""
