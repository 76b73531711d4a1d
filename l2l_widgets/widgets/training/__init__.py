"""TrainingCell and TrainingMonitor."""
