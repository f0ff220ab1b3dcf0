"""What can go wrong in the runtime, by what the caller can do about it."""


class RuntimeFault(Exception):
    """The runtime refused or failed one call; the message is for a person. Try again with back-off."""


class RuntimeGone(RuntimeFault):
    """The runtime does not answer (not running, restarting, wrong socket). Nothing can be known until it is back."""


class RuntimeBusy(RuntimeFault):
    """The call did not finish before its deadline. It may still take effect: look before repeating it."""


class NotFound(RuntimeFault):
    """The sandbox, container or image does not exist (any more)."""


class ImageMissing(RuntimeFault):
    """The registry has no such image, or the reference is malformed. Retrying soon is useless."""


class PullFailed(RuntimeFault):
    """The registry could not be reached, refused the credentials, or broke off. Retry with back-off."""


class StartFailed(RuntimeFault):
    """The container was created but its process could not be started (no such binary, bad working directory)."""
