"""For a class: exercises that check themselves, lessons in steps, a wall of everybody's work."""
