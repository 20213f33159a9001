"""The provider: the form for the credentials, and the proof that they work."""
