"""A small Debian to throw away, in a folder: copies of what is installed here, that is of
the essential packages and of those that are asked for, with what they depend on, and a
dpkg of its own that knows of nothing else. To enter it takes chroot(8), thus root."""

import os
import pathlib
import re
import shutil
import stat

from commands import run
from machine import tool

FIELDS = "${db:Status-Status}\t${Package}\t${Essential}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
# What dpkg and ldconfig keep of their own, and the devices.
KEPT = ("var/lib/dpkg/", "var/log/", "var/cache/ldconfig/", "etc/ld.so.cache", "dev/")


def names(relation):
    """The package names in Depends or Provides: a list of lists of alternatives."""
    return [[re.split(r"[\s:(]", one.strip())[0] for one in part.split("|")]
            for part in relation.split(",") if part.strip()]


class Packages:
    """What is installed on this machine."""

    def __init__(self):
        rows = [line.split("\t") for line in run(tool("dpkg-query"), "-W", "-f", FIELDS).splitlines()]
        rows = [row[1:] for row in rows if row[0] == "installed"]
        self.needs = {package: names(needs) for package, _, _, needs in rows}
        self.essential = [package for package, essential, _, _ in rows if essential == "yes"]
        self.providers = {virtual: package for package, _, provides, _ in rows for [virtual] in names(provides)}

    def find(self, alternatives):
        for name in alternatives:
            if name in self.needs or name in self.providers:
                return name if name in self.needs else self.providers[name]
        raise AssertionError(f"none of the packages {alternatives} is installed, which are needed")

    def closure(self, wanted):
        """The names of the essential packages, those wanted, and all that these need."""
        found, queue = set(), [[name] for name in (*self.essential, *wanted)]
        while queue:
            name = self.find(queue.pop())
            if name not in found:
                found.add(name)
                queue += self.needs[name]
        return sorted(found)


class Root:
    """The folder, and what happens in it."""

    def __init__(self, folder, wanted):
        self.folder = pathlib.Path(folder)
        packages = Packages().closure(wanted)
        self._make_folders()
        self._copy_files(packages)
        self._make_database(packages)

    def _make_folders(self):
        for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
            if os.path.islink(f"/{name}"):
                (self.folder / "usr" / name).mkdir(parents=True)
                (self.folder / name).symlink_to(f"usr/{name}")
        enabled = self.folder / "etc/systemd/system/multi-user.target.wants"
        for folder in (self.folder / "tmp", self.folder / "dev", enabled):
            folder.mkdir(parents=True)
        (self.folder / "dev/null").touch()  # a device would need more rights
        (enabled / "other.service").symlink_to("/dev/null")  # an empty folder would be removed by some

    def _copy_files(self, packages):
        paths = {line for line in run(tool("dpkg-query"), "-L", *packages).splitlines() if line.startswith("/")}
        paths |= {"/bin/sh", "/etc/passwd", "/etc/group"}
        listed = self.folder / "tmp/listed"
        listed.write_text("\0".join(sorted("." + path for path in paths if os.path.lexists(path) and path != "/.")))
        run("sh", "-c", 'tar -C / --no-recursion --null -T "$1" -cf - | tar -C "$0" -xf -', self.folder, listed)
        listed.unlink()

    def _make_database(self, packages):
        source, own = pathlib.Path("/var/lib/dpkg"), self.folder / "var/lib/dpkg"
        for name in ("info", "triggers", "updates"):
            (own / name).mkdir(parents=True, exist_ok=True)
        (own / "status").write_text(run(tool("dpkg-query"), "-s", *packages) + "\n")
        shutil.copy(source / "triggers/ldconfig", own / "triggers")
        for path in (source / "info").iterdir():
            if path.name == "format" or path.stem.partition(":")[0] in packages:
                shutil.copy(path, own / "info")

    def command(self, *words):
        """The words of a command that runs others in here."""
        return [tool("chroot"), self.folder, *words]

    def run(self, *words):
        return run(*self.command(*words), env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def put(self, *paths):
        """Copy files into /tmp of it; their paths there."""
        for path in paths:
            shutil.copy(path, self.folder / "tmp")
        return [f"/tmp/{path.name}" for path in paths]

    def state(self):
        """Each file of it, and what would show that somebody changed it."""
        paths = {str(path.relative_to(self.folder)): path.lstat() for path in self.folder.rglob("*")}
        return {path: (found.st_mode, found.st_uid, found.st_size * stat.S_ISREG(found.st_mode))
                for path, found in paths.items() if not path.startswith(KEPT)}
