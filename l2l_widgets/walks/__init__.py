"""Walks between faces: what was asked, the frames and what the judges see, and their files."""
