"""`python -m stack demo` and `python -m stack reset`."""

import argparse
import sys

from stack.demo import reset, run_demo

COMMANDS = {"demo": run_demo, "reset": reset}


def main() -> int:
    """Run the command given on the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack", description="Broadside on one machine.")
    parser.add_argument(
        "command", choices=sorted(COMMANDS), help="demo: run everything; reset: clear its data"
    )
    return COMMANDS[parser.parse_args().command]()


if __name__ == "__main__":
    sys.exit(main())
