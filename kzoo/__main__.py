"""`python -m kzoo`: the `kzoo` command without the script."""

from kzoo.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
