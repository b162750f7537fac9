"""`make images`: builds both images with the engine at hand and writes their digests to dist/images.json.

    python infra/images/build.py [--target cpu] [--registry registry.example.com/mmctr --push] [--engine podman]

A digest exists only in a registry, so without --push the images get their local ids and nothing is written. Options of
the engine, such as a proxy or another network, come after `--`; BASE_IMAGE, PIP_OPTIONS and TORCH_INDEX of the
environment become build arguments.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ENGINES = ("docker", "podman", "buildah")
TARGETS = ("cpu", "gpu")
ARGUMENTS = ("BASE_IMAGE", "PIP_OPTIONS", "TORCH_INDEX")
ROOT = Path(__file__).resolve().parents[2]


def engine_at_hand() -> str:
    """The first engine that is installed and answers."""
    for engine in ENGINES:
        if shutil.which(engine) and subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0:
            return engine
    raise SystemExit(f"no container engine answers: install one of {', '.join(ENGINES)}, or start its daemon")


def build_command(engine: str, target: str, name: str, options: Sequence[str]) -> list[str]:
    verb = [engine, "bud"] if engine == "buildah" else [engine, "build"]
    given = [f"{key}={os.environ[key]}" for key in ARGUMENTS if key in os.environ]
    arguments = [part for value in given for part in ("--build-arg", value)]
    file = str(ROOT / "infra/images/Dockerfile")
    return [*verb, "--target", target, "--tag", name, "--file", file, *arguments, *options, str(ROOT)]


def local_id(engine: str, name: str) -> str:
    form = ["--format", "{{.FromImageID}}", "--type", "image"] if engine == "buildah" else ["--format", "{{.Id}}"]
    return _output([engine, *([] if engine == "buildah" else ["image"]), "inspect", *form, name])


def push(engine: str, name: str) -> str:
    """Pushes and returns name@digest, as the registry has it."""
    file = ROOT / "dist" / "digest"
    if engine == "docker":
        subprocess.run([engine, "push", name], check=True)
        listed: list[str] = json.loads(_output([engine, "image", "inspect", "--format", "{{json .RepoDigests}}", name]))
        repository = name.rpartition(":")[0]
        return next(digest for digest in listed if digest.startswith(f"{repository}@"))
    subprocess.run([engine, "push", "--digestfile", str(file), name], check=True)
    return f"{name.rpartition(':')[0]}@{file.read_text().strip()}"


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main(arguments: Sequence[str]) -> None:
    own, options = list(arguments), []
    if "--" in own:
        own, options = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--target", choices=TARGETS, action="append", help="default: both")
    parser.add_argument("--registry", default="mmctr", help="where the names begin: registry.example.com/mmctr")
    parser.add_argument("--tag", default="build", help="only for people; nothing deploys by it")
    parser.add_argument("--push", action="store_true")
    given = parser.parse_args(own)
    engine = given.engine or engine_at_hand()
    digests: dict[str, str] = {}
    for target in given.target or TARGETS:
        name = f"{given.registry}/{target}:{given.tag}"
        subprocess.run(build_command(engine, target, name, options), check=True)
        if given.push:
            digests[target] = push(engine, name)
        print(f"{target}: {digests.get(target) or local_id(engine, name)}")
    if set(digests) == set(TARGETS):
        out = ROOT / "dist" / "images.json"
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps(digests, indent=2, sort_keys=True) + "\n")
        print(f"{out.relative_to(ROOT)}: give it to `mmctr compile --images` and to infra/images/pin.py")


if __name__ == "__main__":
    main(sys.argv[1:])
