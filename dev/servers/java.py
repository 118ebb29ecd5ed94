"""Download the jars of servers written in Java from Maven."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from servers.debian import find_program, install
from servers.server import Notify
from servers.state import Site
from vigie.encoding import digest
from vigie.errors import SettingsError

_JAVA = 17


def obtain_jars(site: Site, name: str, notify: Notify, *, may_install: bool) -> None:
    """Download the jars that ``java_sources/NAME/pom.xml`` names, unless they are present.

    Raises
    ------
    SettingsError
        If the JDK or Maven is missing, or no Maven repository answers.
    """
    for program, package in (("javac", "default-jdk-headless"), ("mvn", "maven")):
        if find_program(program) is None:
            install(program, package, notify, allowed=may_install)
    _check_java()
    pom, stamp = site.sources / name / "pom.xml", site.folder / "lib" / f"{name}.pom"
    wanted = digest(pom.read_text(encoding="utf-8"))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    notify(f"Downloading {name} and its libraries from Maven …")
    shutil.rmtree(jar_folder(site, name), ignore_errors=True)
    _copy_dependencies(pom, jar_folder(site, name))
    stamp.write_text(wanted)


def jar_folder(site: Site, name: str) -> Path:
    """Return the folder of a server's jars."""
    return site.folder / "lib" / name


def jar_version(site: Site, name: str, jar: str) -> str:
    """Return the version in a jar's file name.

    Raises
    ------
    SettingsError
        If the jar is absent.
    """
    for path in jar_folder(site, name).glob(f"{jar}-*.jar"):
        found = re.fullmatch(rf"{re.escape(jar)}-(\d[\w.]*)\.jar", path.name)
        if found:
            return found[1]
    raise SettingsError(f"{jar} is not among the jars of {name}; remove data/services/lib")


def java() -> str:
    return find_program("java") or "java"


def _check_java() -> None:
    done = subprocess.run([java(), "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', done.stderr)
    if found is None or int(found[1]) < _JAVA:
        raise SettingsError(
            f"Java {_JAVA} or later is required; `java -version` printed {done.stderr!r}"
        )


def _copy_dependencies(pom: Path, target: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    command = [find_program("mvn") or "mvn", "-q", "-B", "-f", str(pom), *goal]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stdout.strip() or done.stderr.strip())[-600:]
        raise SettingsError(f"Maven could not download the jars of {pom.parent.name}: {words}")
