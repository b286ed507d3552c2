"""From a bundle to what serves.

The registry, the sandbox, the canary or shadow, promotion or rollback, and a later demotion.

rollout.py is the road of one bundle; sandbox.py tries it alone, canary.py beside the champion; pairs.py and
live_labels.py say what is compared, sequential.py weighs it; promotion.py changes manifest and registry
together, demotion.py looks again when labels have come.
"""
