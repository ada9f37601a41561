"""One-way notices to the apps that depend on this one, all about a workspace that is being removed for good.

They are sent in this order, each again at the next run until all is done. Handlers return False while there is
something left to wait for.

`workspace_stopping`: stop what is under way; begin nothing new.
`workspace_disconnecting`: give up the access to accounts on platforms.
`workspace_emptying`: delete the files that its rows name, then those rows that would keep it from being deleted.
"""

from django.dispatch import Signal

workspace_stopping = Signal()
workspace_disconnecting = Signal()
workspace_emptying = Signal()
"""Each is sent with `workspace`."""
