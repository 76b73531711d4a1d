"""Static matplotlib figures, one module a subject; matplotlib is loaded when one is drawn.

Every function takes plain numbers or arrays, never a session or a widget, and returns what it drew.
"""
