"""The IdentityMixer."""
