"""The LatentMap: thousands of faces in the plane."""
