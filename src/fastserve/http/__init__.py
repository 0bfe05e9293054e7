"""The HTTP side port: metrics and health."""
