"""``python -m l2l_widgets`` is ``l2l``; launchers of several processes need the module form."""

from __future__ import annotations

import sys

from l2l_widgets.cli import main

if __name__ == "__main__":
    sys.exit(main())
