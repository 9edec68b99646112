"""The servers that the pages speak of."""

from servers import server_url

__all__ = ["server_url"]
