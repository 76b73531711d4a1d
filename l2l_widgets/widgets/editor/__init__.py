"""The FaceEditor: sliders, what moved, and the panels below."""
