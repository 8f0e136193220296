"""``python -m blocksim`` is the command line."""

from blocksim.cli import main

if __name__ == "__main__":
    main()
