"""Say why an address can't be reached. The standard library alone is used here, for `python -m helpers check` asks."""

from __future__ import annotations

import re
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def why_not(url: str, error: BaseException) -> str:
    """Give the reason, and the proxy that was asked in the server's place, if the environment names one."""
    code = f"HTTP {error.code} " if isinstance(error, HTTPError) else ""
    reason = getattr(error, "reason", None) or error
    return f"{code}{getattr(reason, 'strerror', None) or reason or type(error).__name__}{_by_way_of(url)}"


def _by_way_of(url: str) -> str:
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.hostname or ""):
        return ""
    return f", by way of {re.sub('[^/@]*@', '', proxy)}, which {parts.scheme}_proxy names"  # without a password
