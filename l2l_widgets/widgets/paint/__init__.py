"""The MaskPainter."""
