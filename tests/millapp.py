"""The mill as an application for `headrace up`, with one guarded worker besides."""

import os
import random

from authored import GuardedEcho
from served import Mill

from headrace import Service, pipeline
from headrace.assembly import Platform


@pipeline
class Cellar:
    """Asks a guarded worker."""

    def __init__(self) -> None:
        self.cellar = GuardedEcho()

    async def echo(self, word: str) -> str:
        """Gives the word back."""
        return await self.cellar.echo(word)


class Birthplace(Service):
    """Says in which process what lies on its shelf was made."""

    preloaded = True

    def load(self, artifact):
        """The number of the process that makes it."""
        return self.shelf.shared("birthplace", Place)

    async def born(self, word: str) -> str:
        """The number of the process that made it, and of the one that answers."""
        return f"{self.loaded.pid} {os.getpid()}"


class Place:
    """The process that made this."""

    def __init__(self) -> None:
        self.pid = os.getpid()


class Leak(Service):
    """Keeps all that it was ever asked."""

    def load(self, artifact):
        """Nothing yet."""
        return []

    async def keep(self, megabytes: int) -> int:
        """Which process holds that much more now."""
        self.loaded.append(bytes(random.randbytes(1024)) * 1024 * megabytes)
        return os.getpid()


@pipeline
class Hoard:
    """Asks what leaks."""

    def __init__(self) -> None:
        self.leak = Leak()

    async def keep(self, megabytes: int) -> int:
        """Which process holds it."""
        return await self.leak.keep(megabytes)


@pipeline
class Register:
    """Asks for the birthplace."""

    def __init__(self) -> None:
        self.birthplace = Birthplace()

    async def born(self, word: str) -> str:
        """Both numbers."""
        return await self.birthplace.born(word)


app = Platform(Mill)
guarded = Platform(Mill, Cellar)
register = Platform(Register)
hoard = Platform(Hoard)
