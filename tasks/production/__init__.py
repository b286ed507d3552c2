"""What deployment, the model server and monitoring share about what serves.

releases.py is the manifest that says which version serves; prediction_log.py holds what was asked and
answered; drift_reference.py what production is compared with; inference_client.py talks to the model server.
"""
