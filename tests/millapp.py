"""The mill as an application for `headrace up`, with one guarded worker besides."""

from authored import GuardedEcho
from served import Mill

from headrace import pipeline
from headrace.assembly import Platform


@pipeline
class Cellar:
    """Asks a guarded worker."""

    def __init__(self) -> None:
        self.cellar = GuardedEcho()

    async def echo(self, word: str) -> str:
        """Gives the word back."""
        return await self.cellar.echo(word)


app = Platform(Mill)
guarded = Platform(Mill, Cellar)
