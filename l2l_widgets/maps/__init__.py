"""Maps of many codes in the plane: their layout, their files, and what can be asked of them."""
