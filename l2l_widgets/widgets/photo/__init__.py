"""The view of a photo on its way to a latent."""
