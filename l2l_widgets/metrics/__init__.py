"""Measurements as pure functions: numbers in, numbers out; a metric never loads a model."""
