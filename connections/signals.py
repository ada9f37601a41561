"""One-way notices to whoever depends on connections. Handlers run in the sender's transaction.

`connection_usable`: `connection` became active again; what waited for it may go on.
`connection_lost`: `connection` needs reconnecting or was disconnected; `reason` is for people.
"""

from django.dispatch import Signal

connection_usable = Signal()
connection_lost = Signal()
