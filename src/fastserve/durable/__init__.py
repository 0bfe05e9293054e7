"""Files that survive a crash: replaced as a whole, or appended to line by line."""
