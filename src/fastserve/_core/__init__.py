"""The seam to the compiled core in csrc/: one extension module, `core`, told by core.pyi."""
