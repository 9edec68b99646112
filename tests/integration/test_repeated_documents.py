"""A document that is sent again is told to be a repeat, whichever process of the server looks at it."""

from raised import raised

TEXT = " ".join(f"Word {number} of a letter that somebody sends more than once." for number in range(20))


def test_a_document_that_comes_again_is_known_in_every_process(tmp_path):
    roles = ("--processes", "2", "--only", "gateway")
    found = []
    with raised(tmp_path, *roles, app="headrace_documents.app:app") as server:
        server.wait_for("ready")
        # Each connection is taken by one of the processes, by chance: 24 go to one alone in 1 of 8 million cases.
        for _ in range(24):
            with server.client() as client:
                response = client.post("/v1/document-analyzer/analyze", content=TEXT.encode())
            assert response.status_code == 200, response.text
            found.append([each["code"] for each in response.json()["quality"]["findings"]])

    assert ["near_duplicate" in codes for codes in found] == [False] + [True] * 23
