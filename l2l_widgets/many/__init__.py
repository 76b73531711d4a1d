"""Many faces at once: read from files, edited alike, found by what they look like."""
