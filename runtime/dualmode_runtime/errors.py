"""The one exception for mistakes that a user can repair."""


class UserError(Exception):
    """A mistake in data, configuration or options.

    The message is one clear sentence that names the file, utterance or key and says what to do.  Commands print it
    without a traceback and end with status 2 (see :func:`dualmode_runtime.cli.run`).
    """
