"""The door for callers from afar: the same nouns over HTTP, for async code and for plain code.

with Client("http://127.0.0.1:8000") as client:
answer = client.ask("document-analyzer/analyze", Path("invoice.pdf"))
print(answer.fields["classification"]["label"], client.text(answer.decision_id))
"""

from headrace.client.asynchronous import AsyncClient
from headrace.client.messages import Answer, Document, JobState, Wishes
from headrace.client.synchronous import Client

__all__ = ["Answer", "AsyncClient", "Client", "Document", "JobState", "Wishes"]
