"""What scripts/bench needs before it can measure: packages, baton, and the two programs of its own."""
import shutil
import subprocess

from commands import PARTS
from servers import BenchError

ROOT = PARTS.parent.parent
BUILT = ROOT / "build/bench"
BATON = ROOT / "build/release/baton"


def compiled(name):
    """The program made from NAME.cpp, anew where that has changed."""
    source, program = PARTS / f"{name}.cpp", BUILT / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BUILT.mkdir(parents=True, exist_ok=True)
        # Renamed into place, so that a run that is cut off here leaves no half of a program.
        unfinished = BUILT / f"{name}.new"
        done = subprocess.run(["g++", "-std=c++20", "-O2", "-Wall", "-Wextra", source, "-o", unfinished], check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchError(f"{source.name} does not compile:\n{done.stderr}")
        unfinished.rename(program)
    return str(program)


def prepare(options):
    subprocess.run([ROOT / "scripts/setup", "bench"], check=True)
    if not options.baton:
        subprocess.run([ROOT / "scripts/setup", "build"], check=True)
        subprocess.run([ROOT / "scripts/build", "release"], check=True)
    options.baton = options.baton or str(BATON)
    for tool in ("wrk", "nginx", "haproxy", "node", options.baton):
        if not shutil.which(tool):
            raise BenchError(f"no program {tool}")
    options.floor, options.dialer = compiled("floor"), compiled("dialer")
