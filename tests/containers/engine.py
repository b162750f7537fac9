"""A docker to test with: the one that answers, or one of our own; and a base image, also where none can be pulled."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PULLED = "python:3.11-slim-bookworm"
BOOTSTRAPPED = "mmctr-base:bookworm-ssh"
PACKAGES = "python3,python3-venv,ca-certificates,git,openssh-client"


def docker(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and run.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)}: {run.stderr.strip()[-2000:]}")
    return run


@contextmanager
def running_docker() -> Iterator[None]:
    """Uses the daemon that answers; as root, where none does, starts one of its own and ends it afterwards."""
    if docker("info", check=False).returncode == 0:
        yield
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        raise RuntimeError("no docker daemon answers: start one, or install docker.io and run these tests as root")
    folder = Path(tempfile.mkdtemp(prefix="mmctr-docker-"))
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = f"unix://{folder}/socket"
    command = [
        "dockerd",
        "--host",
        os.environ["DOCKER_HOST"],
        "--data-root",
        str(data_root()),
        "--exec-root",
        str(folder / "exec"),
        "--pidfile",
        str(folder / "pid"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while docker("info", check=False).returncode != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(30)
        os.environ.pop("DOCKER_HOST")
        if before is not None:
            os.environ["DOCKER_HOST"] = before


def data_root() -> Path:
    """Layers are kept between test runs: the second one rebuilds only what changed."""
    return Path(os.environ.get("MMCTR_DOCKER_DATA", "~/.cache/mmctr/docker")).expanduser()


def base_image() -> str:
    """BASE_IMAGE, or the official one where it can be pulled, or Debian's own Python put together here."""
    given = os.environ.get("BASE_IMAGE")
    if given:
        return given
    for name in (PULLED, BOOTSTRAPPED):
        if docker("image", "inspect", name, check=False).returncode == 0:
            return name
    if docker("pull", PULLED, check=False).returncode == 0:
        return PULLED
    return bootstrapped_base()


def bootstrapped_base() -> str:
    with tempfile.TemporaryDirectory(prefix="mmctr-base-") as folder:
        root = Path(folder) / "root"
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root))
        subprocess.run(["umount", str(root / "proc")], capture_output=True, check=False)  # debootstrap may leave it
        archive = Path(folder) / "base.tar"
        unwanted = ("./proc/*", "./sys/*", "./dev/*", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*")
        run("tar", "-C", str(root), *(f"--exclude={path}" for path in unwanted), "-cf", str(archive), ".")
        docker("import", str(archive), BOOTSTRAPPED)
    return BOOTSTRAPPED


def wheels() -> Path:
    """Every locked package as a wheel in dist/wheels, so that the build needs no network: what is built is the lock."""
    lock = ROOT / "requirements.lock"
    return collected("wheels", lock.read_text(), ["wheel", "--no-deps", "--wheel-dir"], ["-r", str(lock)])


def gpu_wheels() -> Path:
    """torch's CUDA build and all it needs in dist/gpu-wheels, some 3 GB. `===` refuses a build such as 2.13.0+cpu."""
    lock = (ROOT / "requirements.lock").read_text()
    version = next(line.removeprefix("torch==") for line in lock.splitlines() if line.startswith("torch=="))
    constraints = ["-c", str(ROOT / "requirements.lock")]
    return collected("gpu-wheels", version, ["download", *constraints, "--dest"], [f"torch==={version}"])


def collected(name: str, key: str, command: list[str], what: list[str]) -> Path:
    """Fills dist/NAME by pip, unless it holds what belongs to `key` already."""
    folder = ROOT / "dist" / name
    done = folder / ".complete"
    if not done.exists() or done.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        verb, *options = command
        run(sys.executable, "-m", "pip", verb, "--quiet", *options, str(folder), *what)
        done.write_text(key)
    return folder


def run(*command: str) -> None:
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {(made.stderr or made.stdout)[-2000:]}")


def in_container(image: str, *command: str, options: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    """One command in a fresh container with the limits of the manifests: read-only root, no capabilities."""
    hardened = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none"]
    return docker("run", "--rm", *hardened, *options, image, *command, check=False)
