"""Real JupyterLab, real Chromium: what a user's hands and eyes would meet."""
