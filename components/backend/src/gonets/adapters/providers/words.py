"""What a provider said instead of doing as asked, fit to be kept and shown."""

from gonets.core.shared.masking import Masking

LONGEST = 500  # characters

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def words(said: bytes | str, masking: Masking) -> str | None:
    """The first `LONGEST` characters in UTF-8 without NUL, surrogates or secrets; None where nothing was said."""
    raw = said if isinstance(said, bytes) else said.encode(errors="replace")
    # Masked before it is cut: half of a key would be found no more.
    text = masking.text(raw.decode("utf-8-sig", "replace").replace("\0", _REPLACEMENT)).strip()
    return (text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…") or None
