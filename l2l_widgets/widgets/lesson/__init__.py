"""The Presenter."""
