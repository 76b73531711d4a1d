"""Figures, one module a subject: matplotlib's, and in ``linked.py`` plotly's, loaded when drawn.

Every function takes plain numbers or arrays, never a session or a widget, and returns what it drew.
"""
