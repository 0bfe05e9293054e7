"""`python -m fastserve`: the command line."""

from fastserve.cli import main

if __name__ == "__main__":
    main()
