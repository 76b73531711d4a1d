"""Many faces beside each other: Gallery and InterpolationView."""
