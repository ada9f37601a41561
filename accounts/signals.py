"""One-way notices to the apps that depend on this one.

The first three are about a workspace that is being removed for good. They are sent in this order, each again at the
next run until all is done. Handlers return False while there is something left to wait for.

`workspace_stopping`: stop what is under way; begin nothing new.
`workspace_disconnecting`: give up the access to accounts on platforms.
`workspace_emptying`: delete the files that its rows name, then those rows that would keep it from being deleted.

`person_removing`: a person's account is being deleted; take them out of what stays. Sent with `user`, in the
transaction that deletes the account.

`data_exporting`: hand in the parts of an export. Sent with `workspace` and `person`: everything of the workspace if
`person` is None, else what that person brought into it. Handlers return an iterable of `accounts.export_parts.Part`,
which is read within the same scope.
"""

from django.dispatch import Signal

workspace_stopping = Signal()
workspace_disconnecting = Signal()
workspace_emptying = Signal()
"""Each is sent with `workspace`."""

person_removing = Signal()
data_exporting = Signal()
