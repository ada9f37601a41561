"""`python -m stack demo` and `python -m stack reset`."""

import argparse
import signal
import sys


def main() -> int:
    """Run the command given on the command line; return its exit status."""
    # Until the supervisor takes it: Ctrl-C in the first second, while modules are loaded, ends us without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from stack.demo import reset, run_demo

    commands = {"demo": run_demo, "reset": reset}
    parser = argparse.ArgumentParser(prog="python -m stack", description="Broadside on one machine.")
    parser.add_argument(
        "command", choices=sorted(commands), help="demo: run everything; reset: clear its data"
    )
    return commands[parser.parse_args().command]()


if __name__ == "__main__":
    sys.exit(main())
