"""What RFC 9113 allows a server to do about a case: each a function of (wire, stream) that asserts it."""
from harness.frames import CALM, ERRORS, PROTOCOL


def connection(*codes):
    """A connection error (section 5.4.1): GOAWAY with one of these codes, then the end."""
    def check(w, stream):
        w.wait(lambda: w.goaway is not None)
        assert w.goaway is not None, f"no GOAWAY: {w.told()}"
        assert w.goaway in codes, f"wanted {[ERRORS[c] for c in codes]}: {w.told()}"
        w.wait(lambda: False)
        assert w.ended, "the connection stays open after a connection error"
    return check


def hangs_up(w, stream):
    """The end, with or without a word: for a peer that doesn't speak HTTP/2 (section 3.4 lets a server leave GOAWAY out)."""
    w.wait(lambda: False)
    assert w.ended, f"the connection stays open: {w.told()}"
    assert w.goaway in (None, PROTOCOL), w.told()


def stream_error(*codes, refusal=False):
    """A stream error (section 5.4.2), or the same as a connection error. With refusal also a 4xx answer (section 8.1.1 allows one
    before the reset)."""
    def check(w, stream):
        w.wait(lambda: w.over(stream))
        if w.goaway is not None or w.ended:
            return connection(*codes)(w, stream)
        if refusal and 400 <= w.status(stream) < 500 or w.status(stream) == 501 and refusal:
            pass
        else:
            assert w.resets.get(stream) in codes, f"wanted {[ERRORS[c] for c in codes]}: {w.told()}"
        assert w.answers_ping(), f"the connection died of a stream error: {w.told()}"
    return check


malformed = stream_error(PROTOCOL, refusal=True)


def either(*codes):
    """A stream or a connection error with one of these codes: where the RFC leaves the choice."""
    return stream_error(*codes)


def answered(status=200):
    def check(w, stream):
        w.wait(lambda: w.over(stream))
        assert w.status(stream) == status and stream in w.done, f"wanted {status}: {w.told()}"
        assert w.goaway is None and stream not in w.resets, w.told()
    return check


def ignored(w, stream):
    """Nothing happens: a PING is answered, no stream and no connection ends."""
    assert w.answers_ping(), w.told()
    assert w.goaway is None and not w.resets, w.told()


def ignored_or(*codes):
    """Allowed to be ignored, and allowed to be a connection error."""
    def check(w, stream):
        if not w.answers_ping():
            assert w.goaway in codes + (CALM,), w.told()
    return check
