"""Models on the Hugging Face Hub, by names that begin with ``hf:``.

    hf:USER/MODEL               as it is now
    hf:USER/MODEL@REVISION      a branch, tag or commit of it

Any other name is a path on this machine and never goes online.  Only the files that a packed model or sub-network has
are fetched or sent, and none of them can run code.  Source: https://huggingface.co/docs/huggingface_hub.
"""

import re
from pathlib import Path

from dualmode.errors import UserError
from dualmode.extras import missing

PREFIX = "hf:"
NAME = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
FILES = ("README.md", "config.yaml", "cmvn.json", "model.safetensors", "subnet.json", "subnet.safetensors", "tokens/*")


def is_on_hub(name: str) -> bool:
    return name.startswith(PREFIX)


def repository(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """Return the repository and the revision that a name means.

    >>> repository("hf:user/model@v1"), repository("hf:user/model")
    (('user/model', 'v1'), ('user/model', None))

    Raises:
        UserError: it is no such name, or ``revision`` is another one than it says.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise UserError(f"{name!r} is no model on the Hub: write hf:USER/MODEL, or hf:USER/MODEL@REVISION")
    if revision is not None and match["revision"] not in (None, revision):
        raise UserError(f"{name} and the revision {revision} contradict each other: give one of them")
    return match["repo"], match["revision"] or revision


def fetch(name: str, revision: str | None = None) -> Path:
    """Return the folder of a model of the Hub, below HF_HOME; what is there already is not fetched again.

    Raises:
        UserError: huggingface_hub is not installed, or the model cannot be had.
    """
    repo, revision = repository(name, revision)
    hub = _client()
    # Files of their own, not links into the Hub's cache: folders that are given away hold no links.
    place = Path(hub.constants.HF_HOME, "dualmode", repo.replace("/", "--"), (revision or "main").replace("/", "--"))
    try:
        hub.snapshot_download(repo, revision=revision, allow_patterns=list(FILES), local_dir=place)
        if (names := _listed(hub, repo, revision)) is not None:
            _remove_others(place, names)
        return place
    except (hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(f"{name} cannot be fetched: {_first_line(error)}") from None


def push(folder: Path, name: str, private: bool = False) -> str:
    """Send a packed model or sub-network to the Hub; return the address of its page.

    Args:
        folder: of dualmode pack or subnet; other files in it are not sent.
        name: hf:USER/MODEL, made where it is not there yet; @REVISION is a branch that is there.
        private: whether a repository that is made is private.

    Raises:
        UserError: the folder is none of these, or the Hub refuses.
    """
    repo, revision = repository(name)
    if not any((folder / weights).is_file() for weights in FILES if weights.endswith(".safetensors")):
        raise UserError(
            f"{folder} holds no safetensors: make a folder to give away with dualmode pack, or dualmode subnet"
        )
    hub = _client()
    try:
        api = hub.HfApi(library_name="dualmode")
        api.create_repo(repo, private=private, exist_ok=True)
        # What the last push sent and this folder lacks is deleted: a subnet.json would be opened before a config.yaml.
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            revision=revision,
            allow_patterns=list(FILES),
            delete_patterns=list(FILES),
        )
    except Exception as error:  # a network that fails raises what its library, of which there are several, calls it
        raise UserError(f"{folder} cannot be sent to {name}: {_first_line(error)}") from None
    return f"{api.endpoint}/{repo}"


def _listed(hub, repo: str, revision: str | None) -> set[str] | None:
    """Return the names of what a repository holds; None if the Hub cannot be reached, where what was fetched counts."""
    try:
        return set(hub.HfApi(library_name="dualmode").list_repo_files(repo, revision=revision))
    except Exception:  # as in push; what must be told, snapshot_download has raised before
        return None


def _remove_others(place: Path, names: set[str]) -> None:
    """Remove a model's files that an earlier revision had and this one has not: the download leaves them."""
    for pattern in FILES:
        for path in place.glob(pattern):
            if path.relative_to(place).as_posix() not in names:
                path.unlink(missing_ok=True)


def _client():
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError:
        raise missing("huggingface_hub", "a model on the Hub") from None
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
