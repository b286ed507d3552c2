"""Labeling QC: several annotators' answers become one label, and doubtful labels are listed."""
