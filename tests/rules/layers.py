#!/usr/bin/env python3
"""Each source of lib/ includes headers of its own layer and the lower ones alone.

lib/LAYERS names the layers in their order; a line with one name is a layer that
sees public headers only."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
lib = root / "lib"
public = root / "include" / "ostler"


def read_layers():
    """The layers that each layer may include from."""
    allowed = {}
    for line in (lib / "LAYERS").read_text().splitlines():
        names = [name.strip() for name in line.split("#")[0].split("<") if name.strip()]
        for i, name in enumerate(names):
            allowed[name] = set(names[: i + 1])
    return allowed


def problems():
    allowed = read_layers()
    folders = {path.parent.name for path in lib.glob("*/*.[ch]")}
    if folders != set(allowed):
        yield f"lib/LAYERS and the folders of lib/ differ: {sorted(folders ^ set(allowed))}"
    sources = sorted(path for path in lib.rglob("*.[ch]"))
    if len(sources) < 20:
        yield f"only {len(sources)} sources found: is this the right tree?"
    for path in sources:
        layer = path.relative_to(lib).parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if match and not (lib / match[1]).exists():
                yield f"{path}:{number}: no lib/{match[1]}"
            elif match and match[1].split("/")[0] not in allowed[layer]:
                yield f"{path}:{number}: {layer} must not include {match[1]}"
    for path in sorted(public.rglob("*.h")):
        text = path.read_text()
        if '#include "' in text:
            yield f"{path}: a public header includes a private one"
        if "event2/" in text:
            yield f"{path}: a public header includes libevent"


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or "layers: as lib/LAYERS says")
    sys.exit(bool(found))
