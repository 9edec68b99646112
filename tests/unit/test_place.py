"""An address: who may have it, and who of those that share it has more connections than the others."""

from contextlib import closing

import pytest

from headrace.gateway.place import NOBODY, Place, PortUnavailable


def test_a_process_is_crowded_while_another_that_takes_connections_has_fewer_by_more_than_one():
    with closing(Place("127.0.0.1", 0)) as place:
        place.seat(3)
        place.tell(0, 2)
        assert not place.is_crowded(0)

        place.tell(1, 1)
        assert not place.is_crowded(0)

        place.tell(1, 0)
        assert place.is_crowded(0)
        assert not place.is_crowded(1)

        assert not place.is_last(0)
        place.tell(1, NOBODY)
        assert not place.is_crowded(0)
        assert place.is_last(0)


def test_two_servers_cannot_listen_at_one_address_though_neither_did_when_both_came():
    with closing(Place("127.0.0.1", 0)) as first, closing(Place("127.0.0.1", first.port)) as second:
        first.listen()

        with pytest.raises(PortUnavailable, match=f"Port {first.port} of 127.0.0.1 is taken"):
            second.listen()


def test_an_address_is_given_back_by_closing():
    with closing(Place("127.0.0.1", 0)) as place:
        place.listen()
        place.close()
    with closing(Place("127.0.0.1", place.port)) as again:
        again.listen()

        assert again.url == f"http://127.0.0.1:{place.port}"
