"""Jupyter server extension: small kernel messages leave at once, and large files arrive.

A Jupyter server passes kernel messages on through TCP sockets that keep Nagle's algorithm on. A
message the size of one small picture then waits for the browser's delayed acknowledgement, about 40
ms a move of a slider, which is more than everything else together. The cure is one socket option,
``TCP_NODELAY``, on the server's side of each kernel connection.

A file that is dropped on a view comes as one message, and a Jupyter server hangs up on any above 10
MiB. The cure is another setting.

Both belong to the server that the user runs, not to the kernel that imports this package, hence
an extension. ``l2l lab`` enables it for its own server; an installed wheel enables it for every
server of its environment, through ``etc/jupyter/jupyter_server_config.d/l2l_widgets.json``.
``jupyter server extension disable l2l_widgets.server`` turns it off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

#: Bytes of a message that a page may send: a file of 30 MB, as text.
LARGEST_MESSAGE = 44_000_000


def without_delay(connection_class: type) -> type:
    """A kernel connection class whose sockets send small messages at once.

    Parameters
    ----------
    connection_class : type
        What the server uses now: the value of ``ServerApp.kernel_websocket_connection_class``.

    Returns
    -------
    type
        A subclass that sets ``TCP_NODELAY`` when it connects, or ``connection_class`` itself if it
        already does.
    """
    if getattr(connection_class, "sends_without_delay", False):
        return connection_class

    def connect(self: Any) -> Any:
        self.websocket_handler.set_nodelay(True)
        return connection_class.connect(self)  # type: ignore[attr-defined]

    # The parent's name is kept: administrators configure the class by name in their own files.
    return type(
        connection_class.__name__,
        (connection_class,),
        {"sends_without_delay": True, "connect": connect, "__module__": __name__},
    )


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Where the server finds the extension."""
    return [{"module": "l2l_widgets.server"}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Called once by the server after it has read its configuration."""
    key = "kernel_websocket_connection_class"
    # The handlers read the setting at every new connection, so replacing it here reaches all
    # kernels.
    replacement = without_delay(app.web_app.settings[key])
    app.web_app.settings[key] = replacement
    app.kernel_websocket_connection_class = replacement
    app.web_app.settings.setdefault("websocket_max_message_size", LARGEST_MESSAGE)
    app.log.info("l2l_widgets.server: kernel messages are sent without delay (TCP_NODELAY)")
    if os.environ.get("L2L_LAB") and not app.identity_provider.token_generated:
        # the port is known when the loop runs
        _when_it_runs(lambda: app.log.critical("JupyterLab: %s", app.display_url))


def _when_it_runs(tell: Callable[[], None]) -> None:
    from tornado.ioloop import IOLoop

    IOLoop.current().add_callback(tell)
