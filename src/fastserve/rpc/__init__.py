"""The control plane's RPCs, written once and served on both transports."""
