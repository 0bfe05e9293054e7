"""The seam to the compiled core in csrc/: one extension module, `core`; core.pyi says what it holds."""
