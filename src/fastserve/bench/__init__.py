"""The load generator behind `fastserve bench`: rules over the core's LoadRun, no terminal."""
