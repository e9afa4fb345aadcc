"""``python -m chipfit``: the same as the command ``chipfit``."""

from chipfit.cli import main

if __name__ == "__main__":
    main()
