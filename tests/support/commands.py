"""Commands that a test runs to their end."""

import subprocess

from machine import scaled


def run(*command, **options):
    """A command's standard output; its failure is the test's, with all that it said."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=scaled(300),
                          **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command[:12])} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
