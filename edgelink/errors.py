"""Why a channel ends or refuses: one class per thing a caller can do about it."""


class ChannelError(Exception):
    """Anything that ends or refuses a session."""


class Closed(ChannelError):
    """The pipe ended. Dial again soon; the session resynchronises."""


class Refused(ChannelError):
    """The other end does not want this session (revoked, replaced, wrong name). Dialling again soon is useless."""


class VersionMismatch(Refused):
    """No protocol version in common; one end must be upgraded."""


class Violation(ChannelError):
    """The other end broke the protocol: malformed, out of turn or over a limit. The session ends."""


class FrameTooBig(ChannelError):
    """An object does not fit into a frame; the object is refused, the session lives on."""


class Unanswered(Exception):
    """A question got no answer: the cloud is away, did not answer in time, or said no; the message says which."""
