"""Models: what lies in the repository, what it takes to serve it, and what state it is in."""
