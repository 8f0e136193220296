"""How a command ends: one line on standard error, and an exit code that says what kind of end it is."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import typer

from blocksim.errors import BlocksimError
from blocksim.output import Kept

INTERRUPTED = 130


def guarded(command: Callable[[], object]) -> None:
    """Run a command; turn errors into one line and an exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left half written
    try:
        code = command()  # the code of an early exit, where there was one
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise SystemExit(code)
    except BlocksimError as error:
        _fail(f"blocksim: {error}", 2)
    except Kept as kept:
        _fail(f"blocksim: interrupted; {kept} has what is done: the same command goes on", INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        _fail("blocksim: interrupted; nothing was left half written", INTERRUPTED)
    except typer.Exit as done:
        raise SystemExit(done.exit_code) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        where = error.filename or "standard output"
        _fail(f"blocksim: {where}: file: {error.strerror or error}: give a path that can be used", 2)
    except MemoryError:
        _fail("blocksim: model: size: too large for the memory of this machine: give smaller dimensions", 2)
    except Exception as error:
        if type(error).__name__ == "TargetError":  # known by name: its module is not loaded for every command
            _fail(f"blocksim: {error}", 2)
        usage = getattr(error, "format_message", None)  # a usage error of the command-line library
        if usage is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(usage())
            raise SystemExit(0) from None
        _fail(f"blocksim: command line: {usage()}", 2)


def _fail(line: str, code: int) -> None:
    typer.echo(line, err=True)
    raise SystemExit(code)
